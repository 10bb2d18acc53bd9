"""What benchmarks show, in words that say no more than the intervals do."""

from __future__ import annotations

import math
from collections.abc import Sequence

from palate.evaluate.benchmarks.differences import BenchmarkDifference

__all__ = ["in_words"]


def in_words(rows: Sequence[BenchmarkDifference]) -> str:
    """What the first metric of each task or group shows; never that nothing was lost."""
    first: dict[tuple[str, str], BenchmarkDifference] = {}
    for row in rows:
        if row.group is None:
            first.setdefault((row.model, row.task), row)
    if not first:
        return "No benchmark was measured."
    sentences = []
    for model in dict.fromkeys(model for model, _ in first):
        own = [row for row in first.values() if row.model == model]
        for kind in ("worse", "better"):
            named = [_named(row) for row in own if row.shown == kind]
            if named:
                sentences.append(f"{model} is {kind} on {'; '.join(named)}.")
        level = [row for row in own if not row.shown]
        if level:
            sentences.append(f"No change of {model} is shown on {'; '.join(map(_named, level))}.")
    if any(not row.shown and row.interval_95 is not None for row in first.values()):
        sentences.append("Where no change is shown, one as large as the interval allows may be there.")
    if len(first) > 4:
        sentences.append(
            f"Each interval is a 95% one by itself: of {len(first)} about "
            f"{len(first) * 0.05:.1f} leave 0 out by chance alone."
        )
    return " ".join(sentences)


def _named(row: BenchmarkDifference) -> str:
    # Perplexities may be large: so many digits say nothing.
    digits = 3 if max(abs(row.base), abs(row.tuned)) < 100 else 1
    change = (
        f"{row.task} ({row.metric} {row.base:,.{digits}f} to {row.tuned:,.{digits}f}, "
        f"{row.difference:+,.{digits}f}"
    )
    if row.interval_95 is None:
        return f"{change}, no interval)"
    # Rounded outwards, so that the words never claim a narrower interval than the numbers do.
    unit = 10**digits
    low, high = math.floor(row.interval_95[0] * unit) / unit, math.ceil(row.interval_95[1] * unit) / unit
    return f"{change}, 95% interval {low:+,.{digits}f} to {high:+,.{digits}f}, {row.num_samples:,} questions)"
