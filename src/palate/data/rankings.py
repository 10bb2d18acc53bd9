"""Several completions of one prompt in a row, and the order in which the row puts them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from palate.data.excerpts import excerpt
from palate.data.messages import Unusable, completion_field, list_field
from palate.data.scalars import finite, number_of
from palate.data.structured import parse_cell
from palate.records import Messages

__all__ = ["Order", "best_first", "completions_field", "is_completion_list", "standing_of"]

_SAID = frozenset(("prompt", "completions", "system"))
"""Columns in which somebody says something, be it a list of numbers."""
_LIST_OF_COMPLETIONS = re.compile(r"""\s*\[\s*(?:['"]|\[)""")


def is_completion_list(value: object) -> bool:
    """Whether a value looks like a list of completions, be it a list or text in which one is written."""
    if isinstance(value, str):
        return _LIST_OF_COMPLETIONS.match(value) is not None
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(item, str | list | tuple) for item in value)
    )


def completions_field(fields: Mapping[str, Any]) -> dict[str, Messages]:
    """The completions by the names that reasons call them, in the row's order: two or more."""
    items = list_field(fields, "completions")
    if len(items) < 2:
        raise Unusable('"completions" holds fewer than two completions, there is nothing to rank')
    named = {f"completion {number}": item for number, item in enumerate(items, 1)}
    return {name: completion_field(named, name) for name in named}


@dataclass(frozen=True, slots=True)
class Order:
    """Completions best first, each once."""

    completions: tuple[Messages, ...]
    scores: tuple[float, ...] | None
    """They never rise; equal ones are a tie. None where only the order is known."""
    places: tuple[int, ...]
    """Where each stood in the row, from 0."""
    detail: Mapping[str, int] = field(default_factory=dict)
    """`num_repeated`: how many completions were left out because they are there already."""


def best_first(completions: Sequence[Messages], scores: Sequence[float] | None) -> Order:
    """The completions in their order, all different; those that tie stand in the row's order.

    `scores` (higher is better, one for each completion) give the order, else the list is best first. Of a
    completion that is there twice the better place stays, if nothing else stands between the two.

    Raises:
        Unusable: no two of them differ, all tie, or a completion stands both above and below another one.
    """
    order = list(range(len(completions)))
    if scores is not None:
        order.sort(key=lambda place: -scores[place])
        if scores[order[0]] == scores[order[-1]]:
            raise Unusable("all completions tie, none is better than another")
    kept = _each_once(completions, scores, order)
    if len(kept) < 2:
        raise Unusable("fewer than two different completions, there is nothing to rank")
    if scores is not None and scores[kept[0]] == scores[kept[-1]]:
        raise Unusable("all completions tie, none is better than another")
    left_out = len(order) - len(kept)
    return Order(
        tuple(completions[place] for place in kept),
        None if scores is None else tuple(scores[place] for place in kept),
        tuple(kept),
        {"num_repeated": left_out} if left_out else {},
    )


def _each_once(
    completions: Sequence[Messages], scores: Sequence[float] | None, order: Sequence[int]
) -> list[int]:
    """The order without what is repeated, if no other completion is on a level with both or between them."""
    levels = range(len(order)) if scores is None else [scores[place] for place in order]
    reach: dict[Messages, list[float]] = {}
    for place, level in zip(order, levels, strict=True):
        reach.setdefault(completions[place], []).append(level)
    repeated = {said: found for said, found in reach.items() if len(found) > 1}
    for said, found in repeated.items():
        low, high = min(found), max(found)
        between = any(other is not said and low <= level <= high for other in reach for level in reach[other])
        if low != high and between:
            raise Unusable("one completion stands both above and below another one, or beside it")
    first: dict[Messages, int] = {}
    for place in order:
        first.setdefault(completions[place], place)
    return list(first.values())


def standing_of(fields: Mapping[str, Any], num_completions: int) -> list[float] | None:
    """One number for each completion, higher is better: `scores`, or `ranks` below zero; None without."""
    present = [name for name in ("ranks", "scores") if name in fields]
    given = [name for name in present if not _is_blank(fields[name])]
    if len(given) > 1:
        raise Unusable('"ranks" and "scores" are both given: drop one of the columns')
    if present and not given:
        how = "null" if fields[present[0]] is None else "empty"
        raise Unusable(f'"{present[0]}" is {how}, so the order is not known')
    if not given:
        _refuse_unnamed_standing(fields, num_completions)
        return None
    (name,) = given
    numbers = [number_of(item, name) for item in list_field(fields, name)]
    if len(numbers) != num_completions:
        raise Unusable(f'"{name}" has another length than "completions"')
    return [-number for number in numbers] if name == "ranks" else numbers


def _refuse_unnamed_standing(fields: Mapping[str, Any], num_completions: int) -> None:
    """A number for each completion may say their order: best first would then be the wrong way round."""
    for name, value in fields.items():
        if name not in _SAID and _num_numbers(value) == num_completions:
            raise Unusable(
                f'"{excerpt(str(name), 60)}" has a number for each completion: if they are ranks or scores, '
                'name the column "ranks" or "scores"; if the list is best first, name the columns without it'
            )


def _num_numbers(value: object) -> int:
    """How many numbers a list holds, be it a list or a cell in which one is written; 0 for all else."""
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return 0
        try:
            value = parse_cell(value)
        except ValueError:
            return 0
    if not isinstance(value, list | tuple) or any(finite(item) is None for item in value):
        return 0
    return len(value)


def _is_blank(value: object) -> bool:
    """Whether a cell has nothing in it: CSV has no null."""
    return value is None or (isinstance(value, str) and not value.strip())
