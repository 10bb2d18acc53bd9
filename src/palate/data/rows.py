"""A row as its source gave it, before anybody asks what it means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from palate.data.excerpts import excerpt
from palate.data.structured import describe

__all__ = ["RawRow", "columns_of", "first_rows", "quoted_names", "row_of"]


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row: its columns, or the problem that kept it from having any.

    `line` is the 1-based physical line where it starts; the record number where a format has no lines.
    """

    line: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    text: str = ""
    """The raw text of a row with a problem, as far as it is known."""

    @property
    def excerpt(self) -> str:
        """A few words by which a person finds the row again."""
        if self.text:
            return excerpt(self.text)
        return excerpt(" | ".join(_some_words(self.fields)))


def _some_words(fields: Mapping[str, Any]) -> Iterator[str]:
    # Only strings: a value nested a thousand deep cannot be written out without a RecursionError.
    return (value[:80] for value in fields.values() if isinstance(value, str) and value.strip())


def row_of(line: int, value: object) -> RawRow:
    """A row from whatever a file had in a row's place."""
    if isinstance(value, Mapping):
        return RawRow(line, value)
    return RawRow(line, problem=f"a row is an object with columns, this is {describe(value)}")


MAX_SAMPLE_CHARACTERS = 64 * 1024 * 1024
"""Of the rows that are looked at together: a thousand of the longest would not fit into memory."""


def first_rows(rows: Iterator[RawRow], most: int) -> tuple[list[RawRow], bool]:
    """Up to `most` rows, fewer where they are huge, and whether that is all of them."""
    first: list[RawRow] = []
    num_characters = 0
    for row in rows:
        first.append(row)
        num_characters += _num_characters(row.fields)
        if len(first) == most or num_characters > MAX_SAMPLE_CHARACTERS:
            return first, False
    return first, True


def _num_characters(value: object) -> int:
    """About how much text is in a value, however deep; without recursion, for it may be deep."""
    total, left = 0, [value]
    while left:
        match left.pop():
            case str() as text:
                total += len(text)
            case Mapping() as inner:
                left += inner.values()
            case list() | tuple() as items:
                left += items
            case _:
                total += 8
    return total


def columns_of(rows: Iterable[RawRow]) -> list[str]:
    """The names of all columns of the rows, each once, in the order in which they turn up."""
    return list(dict.fromkeys(str(column) for row in rows for column in row.fields))


def quoted_names(names: Sequence[str]) -> str:
    """Column names for a message: the first of them, and how many more there are."""
    quoted = ", ".join(excerpt(name, 60) or '""' for name in names[:20])
    return (quoted + (f" and {len(names) - 20} more" if len(names) > 20 else "")) or "none"
