"""A row as its source gave it, before anybody asks what it means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from palate.data.excerpts import excerpt
from palate.data.structured import describe

__all__ = ["RawRow", "columns_of", "quoted_names", "row_of"]


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


def columns_of(rows: Iterable[RawRow]) -> list[str]:
    """The names of all columns of the rows, each once, in the order in which they turn up."""
    return list(dict.fromkeys(str(column) for row in rows for column in row.fields))


def quoted_names(names: Sequence[str]) -> str:
    """Column names for a message: the first of them, and how many more there are."""
    quoted = ", ".join(excerpt(name, 60) or '""' for name in names[:20])
    return (quoted + (f" and {len(names) - 20} more" if len(names) > 20 else "")) or "none"
