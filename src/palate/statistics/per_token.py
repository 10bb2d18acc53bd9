"""A mean per token over prompts or texts of many tokens each, and where it lies.

Tokens of one text are not independent witnesses: the interval is over texts, and a text counts as much as it
has tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["per_token", "positive_per_token"]

Interval = tuple[float, float] | None

_LEAST = 1 / 20
"""Values below this share of the mean say nothing of the largest: they count as if they were so large."""

_LARGEST_FACTOR = 50.0
"""As a logarithm: more than e^50 either way says no more."""


def per_token(sums: Sequence[float], counts: Sequence[float]) -> tuple[float, Interval]:
    """The mean per token, with Student's interval of a ratio over units.

    Units' residuals are weighed up by their share of all tokens (the jackknife's), or a long text would seem
    to agree with the mean because it makes it. The quantile is that for as many units of one size as would
    know the mean as well, and where residuals are skewed, the end on that side lies as far again as the third
    moment of the mean says.

    Args:
        sums: of each unit (a text, or all answers to a prompt) the sum over its tokens.
        counts: how many these are; at least one in all.

    Returns:
        The mean, and its interval; None with a single unit.
    """
    totals, sizes = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    value = float(totals.sum() / sizes.sum())
    if len(totals) < 2:
        return value, None
    error, third = _moments(totals, sizes)
    half = _student(_freedom(sizes)) * error
    return value, (value - half * (1 + max(-third, 0.0)), value + half * (1 + max(third, 0.0)))


def positive_per_token(sums: Sequence[float], counts: Sequence[float]) -> tuple[float, Interval]:
    """The same of sums that cannot be below 0, such as divergences or lengths: they are skewed.

    A few texts make most of such a mean, and a sample mostly lacks the largest of them: then the mean is too
    low, and its error too. In simulation Student's interval on the logarithm held the truth 80% to 95% of
    the time. So the upper end is the further one of two. One is Student's, as far again as the third moment
    of the mean says. The other takes for granted that values are log-normal above their median, and reads
    from there, and from how they go with their numbers of tokens, what the error would be: see
    `_log_normal_error`. The lower end is Student's on the logarithm.

    Args:
        sums: as in `per_token`, none below 0.
        counts: the same.
    """
    totals, sizes = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    value, num = float(totals.sum() / sizes.sum()), len(totals)
    if num < 2:
        return value, None
    if value <= 0:
        return value, (value, value)
    error, third = _moments(totals, sizes)
    down = _student(num - 1) * error / value
    skewed = _student(_freedom(sizes)) * _log_normal_error(totals, sizes, value)
    up = max(down * (1 + max(third, 0.0)), skewed)
    return value, (
        value * math.exp(-min(down * (1 + max(-third, 0.0)), _LARGEST_FACTOR)),
        value * math.exp(min(up, _LARGEST_FACTOR)),
    )


def _moments(totals: NDArray[np.float64], sizes: NDArray[np.float64]) -> tuple[float, float]:
    """The error of the mean, and its third moment in cubes of that."""
    value = totals.sum() / sizes.sum()
    # A unit that is nearly all there is leaves the others nothing to be held against.
    others = np.maximum(1 - sizes / sizes.sum(), 1e-9)
    pulls = (totals - value * sizes) / others / sizes.sum()
    error = math.sqrt(float((pulls**2).sum()))
    return error, float((pulls**3).sum()) / error**3 if error else 0.0


def _effective(sizes: NDArray[np.float64]) -> float:
    """How many units of one size would know the mean as well, if tokens of all were alike."""
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def _freedom(sizes: NDArray[np.float64]) -> float:
    """For Student's quantile; three at least where there are that many, or one long text would say it all."""
    return max(_effective(sizes) - 1, min(len(sizes) - 1.0, 3.0))


def _log_normal_error(totals: NDArray[np.float64], sizes: NDArray[np.float64], value: float) -> float:
    """The error of the mean's logarithm, if values above the median are log-normal.

    With variance s of the logarithm of a value, and d its covariance with that of the number of tokens, the
    squared residual of a token, weighed as the mean weighs it, is exp(2d + s) - 2 exp(d) + 1 squared means.
    """
    known, effective = sizes > 0, _effective(sizes)
    logs = np.log(np.maximum(totals[known] / sizes[known], value * _LEAST))
    shares = sizes[known] / sizes.sum()
    order = np.argsort(logs)
    places = np.searchsorted(np.cumsum(shares[order]), [0.5 - 1e-9, 0.5 + 1e-9])
    middle = float(logs[order][np.minimum(places, len(order) - 1)].mean())
    above = logs > middle
    if not above.any():
        return 0.0
    spread = float(shares[above] @ (logs[above] - middle) ** 2 / shares[above].sum())
    spread *= effective / max(effective - 1, 1.0)
    numbers = np.log(sizes[known])
    both = float(shares @ ((logs - shares @ logs) * (numbers - shares @ numbers)))
    squared = max(math.exp(2 * both + spread) - 2 * math.exp(both) + 1, 0.0)
    return math.sqrt(math.log1p(squared / effective))


def _student(freedom: float) -> float:
    from scipy.special import stdtrit  # not scipy.stats: it is slow to import

    return float(stdtrit(freedom, 0.975))
