"""A finding before its examples are quoted: it names rows by number, and texts are not kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from palate.data.audit.check import AuditedRecord
from palate.data.audit.finding import MAX_EXAMPLES, CheckName, Finding, Severity
from palate.data.excerpts import excerpt
from palate.records import Labelled, Pair

__all__ = ["Draft", "Quotes", "finished", "quoted"]

MAX_QUOTED_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """What a check found, with rows as the index numbers them. The fields are those of `Finding`."""

    check: CheckName
    severity: Severity
    count: int
    groups: Sequence[tuple[int, ...]]
    """Rows that show it; those of one tuple belong together."""
    meaning: str
    remedy: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    num_kept: int = 0

    @property
    def rows(self) -> set[int]:
        """The rows its examples need."""
        return {row for group in self.groups[:MAX_EXAMPLES] for row in group}


Quotes = dict[int, dict[str, Any]]
"""What examples say of a row, by its number."""


def quoted(record: AuditedRecord) -> dict[str, Any]:
    """A record as an example shows it."""
    said = record.record
    texts = [excerpt(text, MAX_QUOTED_CHARACTERS) for text in record.completion_texts[:3]]
    example: dict[str, Any] = {
        "place": record.place,
        "prompt": excerpt(record.prompt_text, MAX_QUOTED_CHARACTERS),
    }
    if isinstance(said, Pair):
        return example | {"chosen": texts[0], "rejected": texts[1]}
    if isinstance(said, Labelled):
        return example | {"completion": texts[0], "label": said.desirable}
    return example | {"completions": texts}


def finished(draft: Draft, quotes: Quotes) -> Finding:
    """The finding, with its examples. The first row of a group is quoted, the others stand `with` it."""
    examples = []
    for group in draft.groups[:MAX_EXAMPLES]:
        first, *others = (quotes[row] for row in group)
        examples.append(first | ({"with": others} if others else {}))
    return Finding(
        draft.check,
        draft.severity,
        draft.count,
        tuple(examples),
        draft.meaning,
        draft.remedy,
        draft.figures,
        draft.num_kept,
    )
