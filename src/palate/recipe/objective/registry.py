"""Every objective there is: those that come with Palate, and those of installed packages.

A package adds one by an entry point in the group `palate.objectives` that names its options class, a subclass
of `palate.recipe.Objective`; see docs/third_party_objectives.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field, SerializeAsAny, TypeAdapter, WrapValidator

from palate.recipe.objective.base import Objective
from palate.recipe.objective.labels import LABEL_OBJECTIVES
from palate.recipe.objective.pairs import PAIR_OBJECTIVES
from palate.recipe.objective.rankings import RANKING_OBJECTIVES
from palate.recipe.objective.scores import SCORE_OBJECTIVES
from palate.recipe.objective.third_party import ThirdParty, find_third_party

__all__ = ["OBJECTIVES", "ObjectiveOptions", "refused_objectives"]

_BUILT_IN: dict[str, type[Objective]] = {
    kind.model_fields["type"].default: kind
    for kind in (*PAIR_OBJECTIVES, *LABEL_OBJECTIVES, *RANKING_OBJECTIVES, *SCORE_OBJECTIVES)
}


@cache
def _third_party() -> ThirdParty:
    return find_third_party(_BUILT_IN)


class _Objectives(Mapping[str, type[Objective]]):
    """Looks into installed packages only when asked for more than comes with Palate.

    Their modules import Palate, so they cannot be imported while Palate is; and whoever names an objective of
    Palate's own neither waits for them nor runs their code.
    """

    def __getitem__(self, name: str) -> type[Objective]:
        return _BUILT_IN[name] if name in _BUILT_IN else _third_party().kinds[name]

    def __iter__(self) -> Iterator[str]:
        yield from _BUILT_IN
        yield from _third_party().kinds

    def __len__(self) -> int:
        return len(_BUILT_IN) + len(_third_party().kinds)


OBJECTIVES: Mapping[str, type[Objective]] = _Objectives()
"""Every objective by the name recipes use."""


def refused_objectives() -> Mapping[str, str]:
    """What installed packages offer and cannot be used: by name, who offers it and why not."""
    return _third_party().refused


@cache
def _all_objectives() -> TypeAdapter[Any]:
    kinds: Any = Union[tuple(OBJECTIVES.values())]  # noqa: UP007
    return TypeAdapter(Annotated[kinds, Field(discriminator="type")])


def _of_any_package(value: Any, built_in: Callable[[Any], Objective]) -> Any:
    name = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    if isinstance(name, str) and name not in _BUILT_IN and name in OBJECTIVES:
        return _all_objectives().validate_python(value)
    return built_in(value)


if TYPE_CHECKING:
    ObjectiveOptions = Objective
else:
    ObjectiveOptions = Annotated[
        SerializeAsAny[Annotated[Union[tuple(_BUILT_IN.values())], Field(discriminator="type")]],  # noqa: UP007
        WrapValidator(_of_any_package),
    ]
