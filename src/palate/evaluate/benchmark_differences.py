"""The difference of two models on the questions of a benchmark, paired by question, and what may be said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import t

from palate.statistics.win_rates import wilson_interval

__all__ = ["BenchmarkDifference", "Scores", "difference_of", "in_words"]

_Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Scores:
    """How one model did on one task by one metric."""

    task: str
    metric: str
    value: float
    """As the harness aggregates it."""
    standard_error: float | None
    by_question: Mapping[str, float]
    """Each question's own score; empty for a metric that only exists of all together."""
    num_questions: int
    is_higher_better: bool = True


@dataclass(frozen=True, slots=True)
class BenchmarkDifference:
    """One model against the baseline on one task, by one metric."""

    task: str
    metric: str
    model: str
    base: float
    tuned: float
    difference: float
    """tuned - base."""
    standard_error: float | None
    """Of the difference."""
    interval_95: tuple[float, float] | None
    num_samples: int
    is_paired: bool
    """False where the harness gives no scores by question: then the error is that of independent samples,
    which is too large."""
    is_higher_better: bool = True

    @property
    def shown(self) -> str:
        """`better` or `worse` where the interval leaves 0 out, else `` (nothing is shown)."""
        if self.interval_95 is None or self.interval_95[0] <= 0 <= self.interval_95[1]:
            return ""
        return "better" if (self.difference > 0) == self.is_higher_better else "worse"

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        interval = None if self.interval_95 is None else list(self.interval_95)
        return asdict(self) | {"interval_95": interval}


def difference_of(model: str, base: Scores, tuned: Scores) -> BenchmarkDifference:
    """One row of the table.

    Where every question is right or wrong the interval is Tango's for paired proportions (`wilson_interval`
    of questions that one model alone has right), which has a width even where no answer changed; for other
    scores it is Student's over the questions' differences.
    """
    shared = sorted(base.by_question.keys() & tuned.by_question.keys())
    figures = (base.value, tuned.value, tuned.value - base.value)
    higher = base.is_higher_better
    if not shared:
        errors = (base.standard_error, tuned.standard_error)
        error = math.hypot(*(e for e in errors if e is not None)) if None not in errors else None
        interval = None if error is None else (figures[2] - _Z_95 * error, figures[2] + _Z_95 * error)
        num = base.num_questions
        return BenchmarkDifference(
            base.task, base.metric, model, *figures, error, interval, num, False, higher
        )
    own = np.array([(base.by_question[name], tuned.by_question[name]) for name in shared])
    changes = own[:, 1] - own[:, 0]
    error = float(changes.std(ddof=1)) / math.sqrt(len(changes)) if len(changes) > 1 else None
    if np.isin(own, (0.0, 1.0)).all():
        wins, losses = int((changes > 0).sum()), int((changes < 0).sum())
        low, high = wilson_interval(wins, losses, len(changes) - wins - losses)
        interval = (2 * low - 1, 2 * high - 1)
    else:
        half = None if error is None else float(t.ppf(0.975, len(changes) - 1)) * error
        mean = float(changes.mean())
        interval = None if half is None else (mean - half, mean + half)
    return BenchmarkDifference(
        base.task, base.metric, model, *figures, error, interval, len(shared), True, higher
    )


def in_words(rows: Sequence[BenchmarkDifference]) -> str:
    """What the first metric of each task shows; never that nothing was lost."""
    first: dict[tuple[str, str], BenchmarkDifference] = {}
    for row in rows:
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
    if any(not row.shown for row in first.values()):
        sentences.append("Where no change is shown, one as large as the interval allows may be there.")
    if len(first) > 4:
        sentences.append(
            f"Each interval is a 95% one by itself: of {len(first)} about "
            f"{len(first) * 0.05:.1f} leave 0 out by chance alone."
        )
    return " ".join(sentences)


def _named(row: BenchmarkDifference) -> str:
    change = f"{row.task} ({row.metric} {row.base:.3f} to {row.tuned:.3f}, {row.difference:+.3f}"
    if row.interval_95 is None:
        return f"{change}, no interval)"
    # Rounded outwards, so that the words never claim a narrower interval than the numbers do.
    low, high = math.floor(row.interval_95[0] * 1000) / 1000, math.ceil(row.interval_95[1] * 1000) / 1000
    return f"{change}, 95% interval {low:+.3f} to {high:+.3f}, {row.num_samples:,} questions)"
