"""Which columns of somebody's file of votes hold the two sides, the choice, and the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from palate.data.columns import parse_named_columns
from palate.data.excerpts import excerpt
from palate.data.messages import Unusable, value_of
from palate.data.rows import quoted_names
from palate.data.scalars import number_of
from palate.data.structured import describe
from palate.errors import DataError, did_you_mean

__all__ = ["Choice", "VoteColumns", "choice_in", "find_columns", "foreign_number", "parse_vote_columns"]

Choice = Literal["a", "b", "tie", "both_bad"]

_PREFERRED = "_preferred"
_PROMPTS = ("prompt", "idea", "question", "instruction", "input")
"""The columns that are taken for the prompt, the first that is there."""
_OF_COMPARISONS = ("completion_a", "completion_b", "preferred")


@dataclass(frozen=True, slots=True)
class VoteColumns:
    """The columns by what they hold. What a file does not say is None."""

    a: str
    b: str
    preferred: str
    prompt: str | None = None
    annotator: str | None = None
    note: str | None = None
    models: tuple[str, str] | None = None
    """Who wrote `a` and `b`, where the columns' names say it: `base` and `ft` of base_title and ft_title."""

    def named(self) -> list[str]:
        """All columns there are."""
        said = (getattr(self, field.name) for field in fields(self) if field.name != "models")
        return [name for name in said if name is not None]


_NAMES = tuple(field.name for field in fields(VoteColumns) if field.name != "models")


def parse_vote_columns(text: str, where: str = "--columns") -> dict[str, str]:
    """`a=title_a,b=title_b,preferred=title_b_preferred,prompt=idea` as a mapping.

    Raises:
        DataError: a part is no `name=column`, or names what votes do not have, or one twice.
    """
    return parse_named_columns(
        text,
        _NAMES,
        where=where,
        example="a=title_a,b=title_b,preferred=title_b_preferred,prompt=idea",
        otherwise="is nothing a vote has",
    )


def find_columns(seen: Sequence[str], given: Mapping[str, str], source: str) -> VoteColumns | None:
    """The columns of votes among those `seen`; None where there are none and none are `given`.

    `NAME_preferred` beside `NAME` and one other column that differs from `NAME` in one part says it all:
    title_a, title_b and title_b_preferred; base_title, ft_title and ft_title_preferred. So do the columns of
    a comparison with `preferred`, unless a `judge` stands beside them: its verdicts are nobody's votes.

    Raises:
        DataError: a column that is given is not there, or what is given leaves open which are the sides.
    """
    for name, column in given.items():
        if column not in seen:
            raise DataError(
                f'{name} = "{excerpt(column)}": no row has this column.{did_you_mean(column, seen)}',
                where=source,
                why=f"columns seen: {quoted_names(seen)}",
                next="name one of them in --columns",
            )
    sides = _sides(seen, given)
    if sides is None:
        if given:
            raise DataError(
                "it cannot be told which columns hold the two sides and the choice",
                where=source,
                why=f"columns seen: {quoted_names(seen)}",
                next="name all three: --columns a=...,b=...,preferred=...",
            )
        return None
    return replace(
        sides,
        prompt=given.get("prompt", next((name for name in _PROMPTS if name in seen), None)),
        annotator=given.get("annotator", "annotator" if "annotator" in seen else None),
        note=given.get("note", "note" if "note" in seen else None),
    )


def _sides(seen: Sequence[str], given: Mapping[str, str]) -> VoteColumns | None:
    if all(name in given for name in ("a", "b", "preferred")):
        return VoteColumns(given["a"], given["b"], given["preferred"])
    wanted = [given["preferred"]] if "preferred" in given else [c for c in seen if c.endswith(_PREFERRED)]
    found = []
    for column in wanted:
        one = column.removesuffix(_PREFERRED)
        for other in seen:
            parts = _parts_that_differ(one, other) if one != column and one in seen else None
            if parts is not None:
                first, second = (one, other) if seen.index(one) < seen.index(other) else (other, one)
                models = parts if first == one else parts[::-1]
                known = None if set(parts) == {"a", "b"} or all(p.isdecimal() for p in parts) else models
                found.append(VoteColumns(first, second, column, models=known))
    found = [
        sides for sides in found if all(getattr(sides, name) == given[name] for name in given if name in "ab")
    ]
    if not found and not given and "judge" not in seen and all(name in seen for name in _OF_COMPARISONS):
        return VoteColumns(*_OF_COMPARISONS)
    return found[0] if len(found) == 1 else None


def _parts_that_differ(one: str, other: str) -> tuple[str, str] | None:
    """The one part in which two names differ: `a` and `b` of title_a and title_b."""
    parts, others = one.split("_"), other.split("_")
    if len(parts) != len(others) or len(parts) < 2:
        return None
    differing = [pair for pair in zip(parts, others, strict=True) if pair[0] != pair[1]]
    return differing[0] if len(differing) == 1 else None


_WORDS: dict[str, Choice] = {
    "a": "a", "left": "a", "b": "b", "right": "b", "tie": "tie", "equal": "tie", "0.5": "tie", ".5": "tie",
    "both_bad": "both_bad", "both bad": "both_bad",
}  # fmt: skip
_YES, _NO = frozenset(("1", "1.0", "true", "yes")), frozenset(("0", "0.0", "false", "no"))


def foreign_number(rows: Iterable[Mapping[str, Any]], columns: VoteColumns) -> str | None:
    """The first number among the choices that is none of 0, 0.5 and 1, as it is written; None where none is.

    Where there is one, the numbers of this column are of another kind: of 1 and 2 the 1 is most likely the
    first side, which `choice_in` would call the second.
    """
    for row in rows:
        value = row.get(columns.preferred)
        if (number := _number(value)) is not None and number not in (0, 0.5, 1):
            return str(value).strip()
    return None


def _number(value: object) -> float | None:
    try:
        return number_of(value, "")
    except Unusable:
        return None


def choice_in(row: Mapping[str, Any], columns: VoteColumns, foreign: str | None = None) -> Choice:
    """What a row's choice says. `foreign` is the column's `foreign_number`: then no number says anything.

    A truth or a number says it of the side after which the column is named: 1 in title_b_preferred is `b`.
    Where it is named after neither, it says it of `b`.

    Raises:
        Unusable: it is none of what a choice can say. Nothing is guessed: a choice read the wrong way round
            teaches the opposite.
    """
    column = columns.preferred
    value = value_of(row, column)
    if not isinstance(value, str | bool | int | float):
        raise Unusable(f'"{column}" is {describe(value)}, a choice was expected')
    said = str(value).strip().casefold()
    if not said:
        raise Unusable(f'"{column}" is empty: there is no vote')
    if foreign is not None and _number(value) is not None:
        raise Unusable(f'"{column}" holds {excerpt(foreign)}, too: what its numbers mean cannot be told')
    named_side: Choice = "a" if column == columns.a + _PREFERRED else "b"
    if said in _YES:
        return named_side
    if said in _NO:
        return "b" if named_side == "a" else "a"
    if said in (columns.a.casefold(), columns.b.casefold()):
        return "a" if said == columns.a.casefold() else "b"
    if said not in _WORDS:
        raise Unusable(f'"{column}" is no choice; known: 0, 1, true, false, {", ".join(_WORDS)}')
    return _WORDS[said]
