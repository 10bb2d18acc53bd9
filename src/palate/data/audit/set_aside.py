"""Rows that cannot be used: how many, why, and which; empty and identical sides by their own names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from palate.data.audit.check import AuditedRecord, Check, Side
from palate.data.audit.finding import MAX_EXAMPLES, CheckName, Finding
from palate.data.excerpts import excerpt
from palate.records import SetAside

__all__ = ["SetAsideRows", "rows"]

MAX_REASONS = 1000
"""Reasons told apart: some quote what a cell holds, and a broken file has as many as rows."""

_OTHER = "any other reason"


class SetAsideRows(Check):
    """`set_aside`, and the rows of it that are `identical_pair` or `empty_side`."""

    name: CheckName = "set_aside"

    def __init__(self) -> None:
        self._num_rows: Counter[Side] = Counter()
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, list[dict[str, Any]]] = {}
        self._codes: Counter[str] = Counter()
        self._coded: dict[str, list[dict[str, Any]]] = {}
        self._num_set_aside: Counter[Side] = Counter()

    def see(self, record: AuditedRecord) -> None:
        self._num_rows[record.side] += 1

    def see_set_aside(self, aside: SetAside, side: Side) -> None:
        self._num_rows[side] += 1
        self._num_set_aside[side] += 1
        known = aside.reason in self._reasons or len(self._reasons) < MAX_REASONS
        reason = excerpt(aside.reason, 300) if known else _OTHER
        self._reasons[reason] += 1
        example = {"place": aside.place, "reason": reason, "excerpt": aside.excerpt}
        _keep(self._examples, reason, example)
        if aside.code:
            self._codes[aside.code] += 1
            _keep(self._coded, aside.code, example)

    def findings(self) -> Iterator[Finding]:
        """At most one of each of the three."""
        if num := self._codes["identical_pair"]:
            yield Finding(
                "identical_pair",
                "error",
                num,
                tuple(self._coded["identical_pair"]),
                f"In {rows(num)} chosen and rejected are the same text. There is nothing to prefer; a run "
                "sets them aside.",
                "Look at how the pairs were made: a completion drawn twice, or a column copied twice.",
                {"num_set_aside": num},
            )
        if num := self._codes["empty_side"]:
            yield Finding(
                "empty_side",
                "error",
                num,
                tuple(self._coded["empty_side"]),
                f"In {rows(num)} a completion is empty: it would teach to say nothing, or that anything is "
                "better than nothing. A run sets them aside.",
                "Look for failed generations and for columns that were cut off; make or drop these rows.",
                {"num_set_aside": num},
            )
        if self._num_set_aside:
            yield self._account()

    def _account(self) -> Finding:
        num, of = self._num_set_aside.total(), self._num_rows.total()
        too_many = any(2 * self._num_set_aside[side] > self._num_rows[side] for side in self._num_rows)
        reasons = [
            {"reason": reason, "count": count, "places": [e["place"] for e in self._examples[reason]]}
            for reason, count in self._reasons.most_common(20)
        ]
        first = (self._examples[reason][0] for reason, _ in self._reasons.most_common(MAX_EXAMPLES))
        return Finding(
            "set_aside",
            "error" if too_many else "warning",
            num,
            tuple(first),
            f"{rows(num)} of {of:,} cannot be used. The most frequent reason ({reasons[0]['count']:,}): "
            f"{reasons[0]['reason']}."
            + (" More than half of a source is lost: it is not what it was taken for." if too_many else ""),
            "Mend the rows, or name the layout if it was told wrongly (--layout, data.train.layout). A run "
            "goes on without them.",
            {
                "reasons": reasons,
                "num_reasons": len(self._reasons),
                "num_train": self._num_set_aside["train"],
                "num_eval": self._num_set_aside["eval"],
            },
        )


def _keep(examples: dict[str, list[dict[str, Any]]], name: str, example: dict[str, Any]) -> None:
    kept = examples.setdefault(name, [])
    if len(kept) < MAX_EXAMPLES:
        kept.append(example)


def rows(num: int) -> str:
    """`1 row`, `2 rows`."""
    return f"{num:,} row{'s' if num != 1 else ''}"
