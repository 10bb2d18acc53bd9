"""A row as its source gave it, before anybody asks what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from palate.data.excerpts import excerpt
from palate.data.structured import describe

__all__ = ["RawRow", "row_of"]


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
