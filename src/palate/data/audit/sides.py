"""What is wrong within one record: sides that say the same, sides that say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from palate.data.audit.check import AuditedRecord, Check
from palate.data.audit.draft import quoted
from palate.data.audit.finding import MAX_EXAMPLES, CheckName, Finding
from palate.data.audit.folding import looks_empty, without_spaces
from palate.data.audit.set_aside import rows

__all__ = ["EmptySides", "IdenticalPairs", "has_equal_sides"]


class _WithExamples(Check):
    """Counts records and keeps the first of them."""

    def __init__(self) -> None:
        self._count = 0
        self._examples: list[dict[str, Any]] = []

    def _found(self, record: AuditedRecord) -> None:
        self._count += 1
        if len(self._examples) < MAX_EXAMPLES:
            self._examples.append(quoted(record))

    def _told(self, problem: str, figure: str) -> Iterator[Finding]:
        """Nothing where no record was found; `figure` is what their number is called."""
        if self._count:
            yield Finding(
                self.name,
                "error",
                self._count,
                tuple(self._examples),
                f"In {rows(self._count)} {problem}",
                "Drop these rows: palate data curate FILE -o OUT does.",
                {figure: self._count},
                self._count,
            )


def has_equal_sides(record: AuditedRecord) -> bool:
    """Whether two completions are equal but for white space and the Unicode form."""
    texts = record.completion_texts
    if len(texts) == 2:
        # Most pairs differ in their first letter, and need no folding.
        first, second = (text.lstrip()[:1] for text in texts)
        if first != second and first.isascii() and second.isascii():
            return False
    plain = [without_spaces(text) for text in texts]
    return any(one == other for one, other in combinations(plain, 2))


class IdenticalPairs(_WithExamples):
    """`identical_pair` among records that were kept: equal but for white space and the Unicode form."""

    name: CheckName = "identical_pair"

    def see(self, record: AuditedRecord) -> None:
        if has_equal_sides(record):
            self._found(record)

    def findings(self) -> Iterator[Finding]:
        return self._told(
            "two completions are equal but for white space or the Unicode form: what is learned is where to "
            "put spaces.",
            "num_equal_after_folding",
        )


class EmptySides(_WithExamples):
    """`empty_side` among records that were kept: nothing in a completion can be seen."""

    name: CheckName = "empty_side"

    def see(self, record: AuditedRecord) -> None:
        for completion in record.completions:
            if any(turn.role == "assistant" and looks_empty(turn.content) for turn in completion):
                self._found(record)
                return

    def findings(self) -> Iterator[Finding]:
        return self._told(
            "a completion has only characters that nobody sees, such as a zero-width space.",
            "num_invisible",
        )
