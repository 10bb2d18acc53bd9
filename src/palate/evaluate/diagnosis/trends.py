"""Slopes with errors, parts of a run and running medians: the statistics that the rules are made of.

Batches are drawn independently, so the figures of training steps scatter independently about their trend, and
the errors are those of ordinary least squares. Figures of evaluations are of the same pairs each time and do
not scatter so: no error is ever taken from them here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from palate.evaluate.diagnosis.curves import Series

__all__ = [
    "Mean",
    "Trend",
    "difference_z",
    "later_part",
    "mean_of",
    "running_median",
    "trend_of",
    "values_of",
]

_MOST_Z = 1000.0


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of `num` figures, with its standard error; the error is infinite where one figure is all."""

    value: float
    standard_error: float
    num: int


@dataclass(frozen=True, slots=True)
class Trend:
    """The slope of a line through figures over steps, per step, with its standard error."""

    slope: float
    standard_error: float
    num: int

    @property
    def z(self) -> float:
        """How many standard errors the slope is from none; at most a thousand, where nothing scatters."""
        if self.standard_error == 0:
            return math.copysign(_MOST_Z, self.slope) if self.slope else 0.0
        return max(-_MOST_Z, min(_MOST_Z, self.slope / self.standard_error))


def values_of(series: Series) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The steps and figures without the gaps."""
    steps, values = np.array(series.steps, dtype=np.int64), np.array(series.values, dtype=np.float64)
    known = np.isfinite(values)
    return steps[known], values[known]


def later_part(series: Series, share: float) -> Series:
    """The last `share` of what there is, at least one figure of it, without gaps."""
    steps, values = values_of(series)
    start = len(steps) - max(1, round(share * len(steps)))
    return Series(tuple(steps[max(0, start) :].tolist()), tuple(values[max(0, start) :].tolist()))


def mean_of(series: Series) -> Mean | None:
    """None where there is no figure."""
    _, values = values_of(series)
    if not len(values):
        return None
    if len(values) == 1:
        return Mean(float(values[0]), math.inf, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        error = float(values.std(ddof=1) / math.sqrt(len(values)))
        mean = float(values.mean())
    return Mean(mean, error, len(values)) if math.isfinite(mean + error) else None


def difference_z(first: Mean, second: Mean) -> float:
    """By how many standard errors the second mean is above the first (Welch)."""
    error = math.hypot(first.standard_error, second.standard_error)
    difference = second.value - first.value
    if error == 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / error


def trend_of(series: Series) -> Trend | None:
    """By least squares; None for fewer than four figures, which tell no error."""
    steps, values = values_of(series)
    if len(steps) < 4:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        x = steps - steps.mean()
        y = values - values.mean()
        spread = float(x @ x)
        slope = float(x @ y) / spread
        rest = y - slope * x
        error = math.sqrt(float(rest @ rest) / (len(steps) - 2) / spread)
    return Trend(slope, error, len(steps)) if math.isfinite(slope + error) else None


def running_median(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """[N] of each figure the median of the `width` figures around it; fewer at the ends."""
    half = width // 2
    found = np.empty_like(values)
    if len(values) > 2 * half:
        found[half : len(values) - half] = np.median(sliding_window_view(values, 2 * half + 1), axis=1)
    ends = range(len(values)) if len(values) <= 2 * half else [*range(half), *range(-half, 0)]
    for end in ends:
        place = end % len(values)
        found[place] = np.median(values[max(0, place - half) : place + half + 1])
    return found
