"""How a store's items are handed out to its annotators: decided once, and kept in the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Protocol, get_args

from palate.errors import CallError, did_you_mean

__all__ = ["Order", "Settings", "SettingsStore", "read_settings", "write_settings"]

Order = Literal["given", "random", "least-certain"]
"""As the items came; by chance, differently for each annotator; or what would tell most comes first."""


class SettingsStore(Protocol):
    """What is asked of a store here: a JSON value by its name, None where it has none."""

    def setting(self, name: str) -> Any:
        """The value, or None."""
        ...

    def set_setting(self, name: str, value: Any) -> None:
        """Keep the value."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides who is shown what, when, and on which side.

    Raises:
        CallError: a value that has no meaning, named as in `palate annotate`.
    """

    question: str = ""
    """What annotators are asked; the page has words of its own where this is empty."""
    seed: int = 0
    """Decides sides, random orders, and which items come twice."""
    overlap: int | Literal["all"] = 1
    """How many annotators each item is wanted from; `all`: everybody votes on everything."""
    order: Order = "given"
    repeat_share: float = 0.05
    """The share of an annotator's items that come a second time, unannounced: does the vote hold?"""
    repeat_after: int = 10
    """At least so many other items lie between the two times."""

    def __post_init__(self) -> None:
        if self.overlap != "all" and (not _is_whole(self.overlap) or self.overlap < 1):
            raise _wrong(
                "overlap", self.overlap, "how many annotators each item is wanted from", "1, 2 or all"
            )
        if self.order not in get_args(Order):
            known = ", ".join(get_args(Order))
            near = did_you_mean(str(self.order), get_args(Order))
            raise _wrong("order", self.order, f"the orders are {known}", f"one of these.{near}")
        if not 0 <= self.repeat_share <= 1:
            raise _wrong(
                "repeat_share", self.repeat_share, "it is a share of the items", "0 to 1, such as 0.05"
            )
        if not _is_whole(self.repeat_after) or self.repeat_after < 1:
            raise _wrong("repeat_after", self.repeat_after, "it counts the items in between", "1 or more")
        if not _is_whole(self.seed):
            raise _wrong("seed", self.seed, "it is a whole number", "0, say")

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong(name: str, value: object, why: str, use: str) -> CallError:
    return CallError(f"{name} = {value!r} cannot be", where="palate annotate", why=why, next=f"use {use}")


def read_settings(store: SettingsStore) -> Settings:
    """What the store says, and the usual where it says nothing.

    Raises:
        CallError: it holds a value that has no meaning.
    """
    said = {field.name: store.setting(field.name) for field in fields(Settings)}
    return Settings(**{name: value for name, value in said.items() if value is not None})


def write_settings(store: SettingsStore, settings: Settings) -> None:
    """Keep all of them in the store."""
    for name, value in settings.as_dict().items():
        store.set_setting(name, value)
