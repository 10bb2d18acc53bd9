"""What the win rate would be if both sides wrote equally long."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.statistics.logistic import fit

__all__ = ["LengthControlled", "length_controlled_win_rate"]

RIDGE = 10.0
"""1 / variance of the prior of the length's coefficient: a standard deviation of 0.32 around no effect."""
MAX_SHIFT = 0.5
"""The most by which lengths may differ systematically, in standard deviations, to be told from quality."""
_Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class LengthControlled:
    """The win rate at equal lengths, as a model of judgements extrapolates it."""

    win_rate: float | None
    """In 0..1; None where there is nothing to estimate it from."""
    interval_95: tuple[float, float] | None
    """Of sampling alone: that the model holds is not in it."""
    length_coefficient: float | None
    """Log-odds for one tanh of one standard deviation by which the judged side is longer: above 0 where
    length wins."""
    mean_shift: float
    """How much longer the judged side is on average, in standard deviations of the difference."""
    warnings: tuple[str, ...] = ()


def length_controlled_win_rate(
    scores: ArrayLike,
    length_differences: ArrayLike,
    prompt_ids: Sequence[Hashable] | None = None,
    *,
    difficulty: ArrayLike | None = None,
) -> LengthControlled:
    """The win rate that a logistic model predicts where both answers are equally long.

    AlpacaEval 2's model (Dubois et al. 2024, "Length-Controlled AlpacaEval", section 3): the log-odds of a
    win are theta + phi * tanh(d / sd(d)) + psi * difficulty, fitted to soft labels, and the figure is the
    mean prediction at d = 0. It departs in two things: phi has a normal prior (`RIDGE`), because a judged
    model that is nearly always shorter leaves phi and theta apart by almost nothing; and the difficulty of
    each prompt, which the paper takes from a fit over a hundred models, is left out unless it is given.

    Args:
        scores: [rows], how far the judged side won: 0 to 1, a tie is 0.5.
        length_differences: [rows], the judged side's length minus the other's, in any unit.
        prompt_ids: which rows hang together; each its own where absent.
        difficulty: [rows], how hard each prompt is, in any unit.

    Raises:
        ValueError: the rows do not match, or a score is outside 0 to 1.
    """
    y, d = np.asarray(scores, dtype=np.float64), np.asarray(length_differences, dtype=np.float64)
    if y.ndim != 1 or y.shape != d.shape or (y < 0).any() or (y > 1).any():
        raise ValueError(f"scores {y.shape} in 0 to 1 and differences {d.shape} have to be of the same rows")
    deviation = float(d.std()) if len(d) else 0.0
    if len(y) < 2 or deviation == 0:
        equal = len(d) > 0 and not d.any()
        rate = float(y.mean()) if equal else None
        why = "" if equal else "The lengths differ by the same in all rows: they cannot be told from quality."
        return LengthControlled(rate, None, None, 0.0, (why,) if why else ())
    columns = [np.ones(len(y)), np.tanh(d / deviation)]
    ridge = [1e-6, RIDGE]  # a model that won everything still has finite odds
    if difficulty is not None:
        hard = np.asarray(difficulty, dtype=np.float64)
        columns.append((hard - hard.mean()) / (hard.std() or 1.0))
        ridge.append(1.0)
    design = np.column_stack(columns)
    found = fit(design, y, clusters=prompt_ids, ridge=np.array(ridge))
    shift = float(d.mean()) / deviation
    if not found.has_maximum:
        return LengthControlled(None, None, None, shift, ("The model of lengths has no fit to these rows.",))
    at_equal = design.copy()
    at_equal[:, 1] = 0.0
    chances = 1 / (1 + np.exp(-(at_equal @ found.coefficients)))
    interval = _interval(chances, at_equal, found.covariance)
    warnings = _warnings(shift, float((d > 0).mean()))
    return LengthControlled(
        float(chances.mean()), interval, float(found.coefficients[1]), shift, tuple(warnings)
    )


def _interval(
    chances: NDArray[np.float64], design: NDArray[np.float64], covariance: NDArray[np.float64]
) -> tuple[float, float] | None:
    """By the delta method on the mean prediction's log-odds, so that it stays between 0 and 1."""
    mean = float(chances.mean())
    gradient = (chances * (1 - chances)) @ design / len(chances) / (mean * (1 - mean))
    variance = float(gradient @ covariance @ gradient)
    if not variance >= 0:
        return None
    odds, half = math.log(mean / (1 - mean)), _Z_95 * math.sqrt(variance)
    return 1 / (1 + math.exp(half - odds)), 1 / (1 + math.exp(-half - odds))


def _warnings(shift: float, share_longer: float) -> list[str]:
    if abs(shift) <= MAX_SHIFT:
        return []
    longer = "longer" if shift > 0 else "shorter"
    share = share_longer if shift > 0 else 1 - share_longer
    return [
        f"The judged side is {longer} in {share:.0%} of the comparisons, by {abs(shift):.1f} standard "
        "deviations on average: what length did and what quality did can hardly be told apart, and the "
        "length-controlled win rate rests on a prior for the weight of length more than on the data."
    ]
