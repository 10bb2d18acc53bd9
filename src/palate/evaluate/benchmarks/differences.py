"""The difference of two models on the questions of a benchmark, paired by question."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palate.statistics.per_token import per_token
from palate.statistics.win_rates import wilson_interval

__all__ = ["BenchmarkDifference", "Scores", "difference_of", "difference_of_group"]

_Z_95 = 1.959963984540054
_NUM_PARTS = 200
_SLOW_METRICS = ("bleu", "chrf", "chrf++", "ter")
_NUM_PARTS_OF_SLOW = 50


@dataclass(frozen=True, slots=True)
class Scores:
    """How one model did on one task by one metric."""

    task: str
    metric: str
    value: float
    """As the harness aggregates it."""
    by_question: Mapping[str, Any]
    """What `aggregate` makes `value` of: a number of each question, or whatever the metric needs of it, such
    as a log-probability and its number of words. Empty for a group of tasks."""
    aggregate: Callable[[Sequence[Any]], float] | None = None
    """From all questions' scores to the value; None is their mean."""
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
    """Of the difference; None where the scores do not tell."""
    interval_95: tuple[float, float] | None
    num_samples: int
    """Questions that both models were asked."""
    is_higher_better: bool = True
    group: str | None = None
    """The group of tasks that is asked for, where this is one of its tasks."""

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


def difference_of(model: str, base: Scores, tuned: Scores, *, seed: int = 0) -> BenchmarkDifference:
    """One row of the table.

    Where every question is right or wrong the interval is Tango's for paired proportions (`wilson_interval`
    of questions that one model alone has right), which has a width even where no answer changed. For other
    scores that are averaged it is Student's over the questions' differences, wider to the side on which they
    are skewed. A metric that is made of all questions together (perplexity, BLEU, F1) is made again without
    each question in turn (of more than 200 without each of 200 parts, 50 where it is slow to make): what each
    one adds takes the place of a difference (the jackknife).
    """
    shared = sorted(base.by_question.keys() & tuned.by_question.keys())
    error: float | None = None
    interval: tuple[float, float] | None = None
    figures = (base.value, tuned.value, tuned.value - base.value)
    own = [base.by_question[name] for name in shared], [tuned.by_question[name] for name in shared]
    if shared and base.aggregate is None:
        error, interval = _of_means(*(np.array(side, dtype=np.float64) for side in own))
    elif len(shared) > 1 and base.aggregate is not None:
        num = _NUM_PARTS_OF_SLOW if base.metric.partition(" ")[0] in _SLOW_METRICS else _NUM_PARTS
        error, interval = _of_differences(_added(*own, base.aggregate, min(num, len(shared)), seed))
    return BenchmarkDifference(
        base.task, base.metric, model, *figures, error, interval, len(shared), base.is_higher_better
    )


def difference_of_group(
    model: str, base: Scores, tuned: Scores, tasks: Sequence[BenchmarkDifference]
) -> BenchmarkDifference:
    """The row of a group of tasks, of which the harness takes the mean.

    Tasks weigh as many questions as they have, or all the same: whichever gives the harness's figures. Where
    neither does there is no error.
    """
    figures = (base.value, tuned.value, tuned.value - base.value)
    num = sum(task.num_samples for task in tasks)
    of_size = [task.num_samples / num for task in tasks] if num else []
    error = None
    for weights in (of_size, [1 / len(tasks) for _ in tasks]):
        value = (
            sum(weight * task.base for weight, task in zip(weights, tasks, strict=True)) if weights else None
        )
        errors = [task.standard_error for task in tasks]
        if value is not None and math.isclose(value, base.value, abs_tol=1e-9) and None not in errors:
            error = math.hypot(*(w * (e or 0.0) for w, e in zip(weights, errors, strict=True)))
            break
    interval = (figures[2] - _Z_95 * error, figures[2] + _Z_95 * error) if error else None
    return BenchmarkDifference(
        base.task, base.metric, model, *figures, error, interval, num, base.is_higher_better
    )


def _of_means(
    base: NDArray[np.float64], tuned: NDArray[np.float64]
) -> tuple[float | None, tuple[float, float] | None]:
    changes = tuned - base
    error, interval = _of_differences(changes)
    if np.isin(base, (0.0, 1.0)).all() and np.isin(tuned, (0.0, 1.0)).all():
        wins, losses = int((changes > 0).sum()), int((changes < 0).sum())
        low, high = wilson_interval(wins, losses, len(changes) - wins - losses)
        interval = 2 * low - 1, 2 * high - 1
    return error, interval


def _of_differences(
    differences: NDArray[np.float64] | None,
) -> tuple[float | None, tuple[float, float] | None]:
    """No interval where nothing varies: one without width would claim what a few questions cannot."""
    if differences is None or len(differences) < 2 or not np.isfinite(differences).all():
        return None, None
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    varies = error > 1e-12 * max(1.0, float(np.abs(differences).max()))
    return error, per_token(differences.tolist(), [1.0] * len(differences))[1] if varies else None


def _added(
    base: Sequence[Any],
    tuned: Sequence[Any],
    aggregate: Callable[[Sequence[Any]], float],
    num_parts: int,
    seed: int,
) -> NDArray[np.float64] | None:
    """What each part of the questions adds to the difference (its pseudo-value); None where it has none."""
    part = np.arange(len(base)) % num_parts
    np.random.default_rng(seed).shuffle(part)

    def difference(kept: NDArray[np.bool_]) -> float:
        places = np.flatnonzero(kept).tolist()
        return aggregate([tuned[place] for place in places]) - aggregate([base[place] for place in places])

    try:
        whole = difference(part >= 0)
        without = np.array([difference(part != one) for one in range(num_parts)])
    except (ValueError, ZeroDivisionError, OverflowError):
        return None  # such as one class only: then a part would say something else
    return num_parts * whole - (num_parts - 1) * without
