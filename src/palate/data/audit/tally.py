"""What checks of single texts share: the sides of a record by name, and a count with its first examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from palate.data.audit.check import AuditedRecord
from palate.data.audit.finding import MAX_EXAMPLES
from palate.data.excerpts import excerpt
from palate.records import Labelled, Messages, Pair

__all__ = ["Tally", "around", "named_sides"]


class Tally:
    """A count and the first few examples of what is counted."""

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[dict[str, Any]] = []

    def add(self, record: AuditedRecord, **quotes: str) -> None:
        """Count a record; `quotes` is what an example of it says beside its place."""
        self.count += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append({"place": record.place} | quotes)


def named_sides(record: AuditedRecord) -> Iterator[tuple[str, Messages]]:
    """Each completion with its side: `chosen` and `rejected`, `desirable` or `undesirable`, or `best`,
    `worst` and what stands `between`."""
    said = record.record
    if isinstance(said, Pair):
        yield "chosen", said.chosen
        yield "rejected", said.rejected
    elif isinstance(said, Labelled):
        yield "desirable" if said.desirable else "undesirable", said.completion
    else:
        last = len(said.completions) - 1
        for place, completion in enumerate(said.completions):
            yield "best" if place == 0 else "worst" if place == last else "between", completion


def around(text: str, start: int, end: int, reach: int = 40) -> str:
    """What stands at a place of a text, with some characters before and behind it."""
    before, behind = max(0, start - reach), end + reach
    quoted = excerpt(text[before:behind], 120)
    return f"{'…' if before else ''}{quoted}"
