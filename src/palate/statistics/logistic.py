"""How the odds move with a figure: logistic regression of outcomes between 0 and 1, by Newton's method.

Rows of one prompt are not independent witnesses: errors are taken over clusters (Liang and Zeger, Biometrika
73, 1986), and judged by Student's quantile for the number of clusters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.statistics.resampling import places

__all__ = ["Fit", "Slope", "fit", "slope"]

_RIDGE = 0.01
"""The slope's prior where the labels are separated: normal, with a standard deviation of 10."""
_RIDGE_OF_INTERCEPT = 1e-6
"""A standard deviation of 1,000: no prior to speak of, but a steep slope leaves nothing else to solve for."""
_MAX_STEPS = 60
_LEAST_INFORMATION = 1e-10
"""Below it, as a share of what the columns could tell, a maximum is taken to run away."""
_CHI_SQUARE_95 = 3.841458820694124
"""The 95% quantile with one degree of freedom."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The coefficients of a design's columns, and how well they are known."""

    coefficients: NDArray[np.float64]
    """[columns], log-odds for one unit of each."""
    covariance: NDArray[np.float64]
    """[columns, columns], over clusters; not a number with a single cluster."""
    num_clusters: int
    has_maximum: bool
    """False where the likelihood rises without end, or two columns say the same: then nothing above holds."""


@dataclass(frozen=True, slots=True)
class Slope:
    """How the odds move with x."""

    value: float | None
    """Log-odds for one standard deviation of x; None where there is none to estimate."""
    standard_error: float | None
    interval_95: tuple[float, float] | None
    p: float | None
    """Two-sided, against a slope of 0."""
    intercept: float | None
    """Log-odds at the mean of x, with each covariate at its mean."""
    standard_deviation: float
    """Of x, in its own unit: what `value` is for."""
    num_rows: int
    num_clusters: int
    notes: tuple[str, ...] = ()
    """Why something is None, or what the figures rest on where x tells the labels apart without a fault."""


def fit(
    design: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    clusters: Sequence[Hashable] | None = None,
    offset: NDArray[np.float64] | None = None,
    ridge: NDArray[np.float64] | None = None,
    weights: NDArray[np.float64] | None = None,
) -> Fit:
    """Maximum likelihood for any design; nothing is standardised and no intercept is added.

    Args:
        design: [rows, columns].
        y: [rows], 0 to 1: a share counts as that much of a success.
        clusters: which rows hang together; none where absent.
        offset: [rows], log-odds that are known and not estimated.
        ridge: [columns], 1 / variance of a normal prior around 0 for each coefficient; 0 for none. The fit is
            then the posterior's mode.
        weights: [rows], how often each counts; once where absent.

    The covariance is the sandwich, times G / (G - 1) * (N - 1) / (N - K) for G clusters, N rows, K columns.
    """
    num_rows, num_columns = design.shape
    own = range(num_rows) if clusters is None else clusters
    place = places(own)
    counts = np.ones(num_rows) if weights is None else weights
    found = _newton(design, y, np.zeros(num_rows) if offset is None else offset, ridge, counts)
    if found is None:
        unknown = np.full((num_columns, num_columns), np.nan)
        return Fit(np.full(num_columns, np.nan), unknown, len(place), False)
    coefficients, p, inverse = found
    scores = np.zeros((len(place), num_columns))
    np.add.at(scores, [place[cluster] for cluster in own], design * (counts * (y - p))[:, None])
    covariance = inverse @ (scores.T @ scores) @ inverse
    if len(place) < 2 or num_rows <= num_columns:
        covariance = np.full_like(covariance, np.nan)
    else:
        covariance *= len(place) / (len(place) - 1) * (num_rows - 1) / (num_rows - num_columns)
    return Fit(coefficients, covariance, len(place), True)


def slope(
    x: ArrayLike,
    y: ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    *,
    covariates: ArrayLike | None = None,
) -> Slope:
    """How the odds of y move with x, in log-odds for one standard deviation of x.

    Where x tells the labels apart without a fault (say, the longer answer always won) the likelihood has no
    maximum. Then the slope has a normal prior of standard deviation 10, its interval and p are those of the
    likelihood ratio, with each prompt's rows counted as one, and a note says so.

    Args:
        x: [rows], in any unit.
        y: [rows], 0 to 1: 1 a win, 0.5 a tie, 0 a loss.
        clusters: the prompt of each row; each row its own where absent.
        covariates: [rows, some], what else moves the odds; an intercept is always there.
    """
    values, labels = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    beside = np.empty((len(values), 0)) if covariates is None else np.asarray(covariates, dtype=np.float64)
    _check(values, labels, clusters, beside)
    num_clusters = len(values) if clusters is None else len(set(clusters))
    deviation = float(values.std()) if len(values) else 0.0
    reason = _unanswerable(labels, deviation)
    if reason:
        return Slope(None, None, None, None, None, deviation, len(values), num_clusters, (reason,))
    beside = beside - beside.mean(axis=0)
    design = np.column_stack([np.ones(len(values)), (values - values.mean()) / deviation, beside])
    found = fit(design, labels, clusters=clusters)
    if not found.has_maximum:
        if np.linalg.matrix_rank(design) < design.shape[1]:
            reason = "The covariates and x say the same: what moves with which cannot be told."
            return Slope(None, None, None, None, None, deviation, len(values), num_clusters, (reason,))
        return _separated(design, labels, deviation, num_clusters)
    intercept, value = found.coefficients[:2].tolist()
    variance = float(found.covariance[1, 1])
    if not variance > 0:
        few = (
            "one prompt says nothing of another" if num_clusters < 2 else "nothing is left to see an error by"
        )
        return Slope(
            value,
            None,
            None,
            None,
            intercept,
            deviation,
            len(values),
            num_clusters,
            (f"No interval: {few}.",),
        )
    error = math.sqrt(variance)
    p, quantile = _student(value / error, num_clusters - 1)
    interval = (value - quantile * error, value + quantile * error)
    return Slope(value, error, interval, p, intercept, deviation, len(values), num_clusters)


def _check(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    clusters: Sequence[Hashable] | None,
    beside: NDArray[np.float64],
) -> None:
    if x.ndim != 1 or x.shape != y.shape or beside.ndim != 2 or len(beside) != len(x):
        raise ValueError(f"x {x.shape}, y {y.shape} and covariates {beside.shape} are not of the same rows")
    if clusters is not None and len(clusters) != len(x):
        raise ValueError(f"{len(x)} rows with {len(clusters)} clusters")
    if not all(np.isfinite(part).all() for part in (x, y, beside)) or (y < 0).any() or (y > 1).any():
        raise ValueError("x, y and covariates are finite, and y lies between 0 and 1")


def _unanswerable(y: NDArray[np.float64], deviation: float) -> str:
    if not len(y):
        return "There is nothing to estimate it from."
    if deviation == 0:
        return "x is the same in all rows, so nothing can move with it."
    if (y == y[0]).all() and y[0] in (0, 1):
        return "Every outcome is the same, so nothing moves."
    return ""


def _newton(
    design: NDArray[np.float64],
    y: NDArray[np.float64],
    offset: NDArray[np.float64],
    penalty: NDArray[np.float64] | None = None,
    weight: float | NDArray[np.float64] = 1.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """Coefficients, [rows] probabilities and the inverse information; None where there is no maximum."""
    ridge = np.zeros(design.shape[1]) if penalty is None else penalty
    weight = np.broadcast_to(weight, y.shape)
    scale = np.sqrt(weight @ design**2 + ridge)
    if not (scale > 0).all():
        return None
    at = np.zeros(design.shape[1])
    best = _likelihood(design, y, offset, ridge, weight, at)
    for _ in range(_MAX_STEPS):
        p = _logistic(design @ at + offset)
        information = (design.T * (weight * p * (1 - p))) @ design + np.diag(ridge)
        least = np.linalg.eigvalsh(information / scale / scale[:, None])[0]
        if penalty is None and least < _LEAST_INFORMATION:
            return None
        inverse = np.linalg.inv(information)
        step = inverse @ (design.T @ (weight * (y - p)) - ridge * at)
        size = 1.0
        while (new := _likelihood(design, y, offset, ridge, weight, at + size * step)) < best - 1e-9 * abs(
            best
        ):
            size /= 2
        gain, at, best = new - best, at + size * step, new
        # With a prior the likelihood may be flat to the last bit along what only the prior holds.
        flat = penalty is not None and abs(gain) < 1e-13 * (1 + abs(best))
        if flat or np.abs(step).max() < 1e-10:
            return at, _logistic(design @ at + offset), inverse
    return None


def _likelihood(
    design: NDArray[np.float64],
    y: NDArray[np.float64],
    offset: NDArray[np.float64],
    ridge: NDArray[np.float64],
    weight: float | NDArray[np.float64],
    at: NDArray[np.float64],
) -> float:
    odds = design @ at + offset
    return float((weight * (y * odds - np.logaddexp(0.0, odds))).sum() - (ridge * at**2).sum() / 2)


def _separated(
    design: NDArray[np.float64], y: NDArray[np.float64], deviation: float, num_clusters: int
) -> Slope:
    """The slope where only a prior bounds it; the error is half the interval's width over 1.96."""
    weight = num_clusters / len(y)
    ridge = np.full(design.shape[1], _RIDGE)
    ridge[0] = _RIDGE_OF_INTERCEPT
    found = _newton(design, y, np.zeros(len(y)), ridge, weight)
    if found is None:
        note = "No fit is found, not even with a prior."
        return Slope(None, None, None, None, None, deviation, len(y), num_clusters, (note,))
    coefficients = found[0]
    others = np.delete(design, 1, axis=1)

    def best(value: float) -> float:
        """The penalised log-likelihood of a slope, with all else as likely as can be."""
        offset = value * design[:, 1]
        inner = _newton(others, y, offset, np.delete(ridge, 1), weight)
        if inner is None:
            return -math.inf
        return _likelihood(others, y, offset, np.delete(ridge, 1), weight, inner[0]) - _RIDGE * value**2 / 2

    intercept, value = coefficients[:2].tolist()
    top = best(value)
    low, high = (_crossing(best, value, top - _CHI_SQUARE_95 / 2, side) for side in (-1.0, 1.0))
    p = math.erfc(math.sqrt(max(top - best(0.0), 0.0)))
    note = (
        "x tells the outcomes apart without a fault, so the likelihood sets no bound to the slope: it is the "
        "one of a normal prior with a standard deviation of 10, and each prompt counts as one row."
    )
    error = (high - low) / 2 / 1.959963984540054
    return Slope(value, error, (low, high), p, intercept, deviation, len(y), num_clusters, (note,))


def _crossing(best: Callable[[float], float], value: float, level: float, side: float) -> float:
    """Where the log-likelihood falls to the level, to one side of its top."""
    outside = 1.0
    while best(value + side * outside) > level:
        outside *= 2
    inside = 0.0
    for _ in range(50):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if best(value + side * middle) > level else (inside, middle)
    return value + side * inside


def _student(ratio: float, freedom: int) -> tuple[float, float]:
    """The two-sided p of an estimate over its error, and the 97.5% quantile."""
    from scipy.special import stdtr, stdtrit

    return 2 * float(stdtr(freedom, -abs(ratio))), float(stdtrit(freedom, 0.975))


def _logistic(odds: NDArray[np.float64]) -> Any:
    return np.exp(-np.logaddexp(0.0, -odds))
