"""What a layout is, and what its converter makes of a row before anybody checks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from palate.data.kinds import Kind
from palate.records import Messages

__all__ = ["Converted", "Layout", "Ordered", "Row", "Sides", "Single", "has", "scalars"]


@dataclass(frozen=True, slots=True)
class Row:
    """A row and its place among the rows read, for layouts in which that has a meaning."""

    fields: Mapping[str, Any]
    position: int = 0
    num_rows: int = 1
    support_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Sides:
    """A pair as its row says it, before it is checked. `detail` goes into the record's provenance.

    `gap` is by how much the row says chosen is better, in its own unit; None where it does not say.
    """

    prompt: Messages
    chosen: Messages
    rejected: Messages
    detail: Mapping[str, Any] = field(default_factory=dict)
    gap: float | None = None


@dataclass(frozen=True, slots=True)
class Single:
    """A labelled completion as its row says it, before it is checked."""

    prompt: Messages
    completion: Messages
    desirable: bool
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ordered:
    """A ranking as its row says it, best first and all different, before it is checked."""

    prompt: Messages
    completions: tuple[Messages, ...]
    detail: Mapping[str, Any] = field(default_factory=dict)
    scores: tuple[float, ...] | None = None


Converted = Sides | Single | Ordered


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to write a preference into a row."""

    columns: str
    """What a person should find in the file."""
    claims: Callable[[Mapping[str, Any]], bool]
    """Whether a row is of this layout as far as can be seen without reading it closely."""
    convert: Callable[[Row], Converted]
    kind: Kind = "pairs"
    """What a row of this layout becomes."""
    covers: frozenset[str] = frozenset()
    """Layouts whose rows this one can read too: where they stand beside each other, it takes them all."""


def scalars(values: Mapping[str, Any]) -> dict[str, str | int | float]:
    """Those of the values that are text, a number or a truth value: what a record's detail can hold."""
    return {name: value for name, value in values.items() if isinstance(value, str | int | float)}


def has(*columns: str) -> Callable[[Mapping[str, Any]], bool]:
    """Claims rows that have all these columns."""
    return lambda fields: all(column in fields for column in columns)
