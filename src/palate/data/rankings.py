"""Several completions of one prompt in a row, and the order in which the row puts them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from palate.data.messages import Unusable, completion_field, value_of
from palate.data.scalars import number_of
from palate.data.structured import describe, parse_cell
from palate.records import Messages

__all__ = ["best_first", "completions_field", "is_completion_list"]

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
    items = _list_field(fields, "completions")
    if len(items) < 2:
        raise Unusable('"completions" holds fewer than two completions, there is nothing to rank')
    named = {f"completion {number}": item for number, item in enumerate(items, 1)}
    return {name: completion_field(named, name) for name in named}


def best_first(
    fields: Mapping[str, Any], completions: Sequence[Messages]
) -> tuple[tuple[Messages, ...], dict[str, int]]:
    """The completions in their order, all different, and how many were left out: `num_tied`, `num_repeated`.

    `ranks` (1 best) or `scores` (higher is better) give the order, else the list is best first. Of
    completions that tie the first in the row stays: what is left is ordered by the row itself, and no order
    is made up. Of a completion that follows itself one stays.

    Raises:
        Unusable: fewer than two are left, or a completion stands both above and below another one.
    """
    standing = _standing(fields, len(completions))
    order = sorted(range(len(completions)), key=lambda i: standing[i])
    untied = [i for at, i in enumerate(order) if at == 0 or standing[order[at - 1]] != standing[i]]
    if len(untied) < 2:
        raise Unusable("all completions tie, none is better than another")
    kept = [completions[i] for i in untied]
    distinct = [c for at, c in enumerate(kept) if at == 0 or kept[at - 1] != c]
    if len(distinct) < 2:
        raise Unusable("fewer than two different completions, there is nothing to rank")
    if len(set(distinct)) < len(distinct):
        raise Unusable("one completion stands both above and below another one")
    left_out = {"num_tied": len(completions) - len(kept), "num_repeated": len(kept) - len(distinct)}
    return tuple(distinct), {name: count for name, count in left_out.items() if count}


def _standing(fields: Mapping[str, Any], num_completions: int) -> list[float]:
    """One number for each completion, lower is better."""
    present = [name for name in ("ranks", "scores") if name in fields]
    given = [name for name in present if fields[name] is not None]
    if len(given) > 1:
        raise Unusable('"ranks" and "scores" are both given: drop one of the columns')
    if present and not given:
        raise Unusable(f'"{present[0]}" is null, so the order is not known')
    if not given:
        return [float(place) for place in range(num_completions)]
    (name,) = given
    numbers = [number_of(item, name) for item in _list_field(fields, name)]
    if len(numbers) != num_completions:
        raise Unusable(f'"{name}" has another length than "completions"')
    return numbers if name == "ranks" else [-number for number in numbers]


def _list_field(fields: Mapping[str, Any], column: str) -> Sequence[Any]:
    """A list, or a cell in which one is written."""
    value = value_of(fields, column)
    if isinstance(value, str):
        try:
            value = parse_cell(value) if value.strip() else []
        except ValueError as error:
            raise Unusable(f'"{column}" should hold a list: {error}') from None
    if not isinstance(value, list | tuple):
        raise Unusable(f'"{column}" is {describe(value)}, a list was expected')
    return value
