"""What the win rate would be if both sides wrote equally long."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.statistics.effective import interval_of_rate
from palate.statistics.logistic import fit
from palate.statistics.resampling import places
from palate.statistics.win_rates import BESIDE

__all__ = ["LengthControlled", "length_controlled_win_rate"]

RIDGE = 10.0
"""1 / variance of the prior of the length's coefficient: a standard deviation of 0.32 around no effect."""
MAX_SHIFT = 0.5
"""The most by which lengths may differ systematically, in standard deviations, to be told from quality."""
BY_LENGTH = 0.95
"""From this share on of comparisons won by the longer answer, or the shorter, length may be all there is."""
MIN_DECIDED = 10
"""Of fewer decided comparisons, as many may go to the longer answer by chance."""


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
    rate = float(chances.mean())
    own = list(range(len(y))) if prompt_ids is None else prompt_ids
    interval = _interval(rate, design, y, own, np.array(ridge))
    warnings = [*_warnings(shift, d), *_by_length_alone(y, d)]
    return LengthControlled(rate, interval, float(found.coefficients[1]), shift, tuple(warnings))


def _interval(
    rate: float,
    design: NDArray[np.float64],
    y: NDArray[np.float64],
    clusters: Sequence[Hashable],
    ridge: NDArray[np.float64],
) -> tuple[float, float] | None:
    """A score interval at the number of comparisons that would know the rate as well (see `effective`).

    The variance is the sandwich's, carried to the mean prediction by the delta method. The normal interval
    on the log-odds, which needs no such number, held the truth as seldom as 40 times in 100 where wins or
    losses were few.
    """
    place = places(clusters)
    num_prompts = len(place)
    if num_prompts < 2:
        return None
    # Beside the prompts half of one more, of equally long answers, all won as likely as all lost.
    size = len(y) / num_prompts
    even = design.mean(axis=0, keepdims=True)
    even[:, 1] = 0.0
    rows, outcomes = np.vstack([design, even]), np.append(y, 0.5)
    weights = np.append(np.ones(len(y)), BESIDE * size)
    found = fit(rows, outcomes, ridge=ridge, weights=weights)
    p = 1 / (1 + np.exp(-(rows @ found.coefficients)))
    inverse = np.linalg.inv((rows.T * (weights * p * (1 - p))) @ rows + np.diag(ridge))
    at_equal = rows.copy()
    at_equal[:, 1] = 0.0
    chances = 1 / (1 + np.exp(-(at_equal @ found.coefficients)))
    gradient = (weights * chances * (1 - chances)) @ at_equal / weights.sum()
    pull = rows @ inverse @ gradient
    moves = np.zeros(num_prompts)
    np.add.at(moves, [place[cluster] for cluster in clusters], (pull * (outcomes - p))[:-1])
    own = float(p[-1])
    of_beside = BESIDE * (size * float(pull[-1])) ** 2 * ((1 - own) ** 2 + own**2) / 2
    degrees = len(y) / max(len(y) - design.shape[1] + 1, 1)
    num_weighed = num_prompts + BESIDE
    spread = float((moves**2).sum()) + of_beside
    variance = num_weighed / (num_weighed - 1) * degrees * spread
    # The prior pulls the length's weight towards 0: by how much, on average over the prior, is an error too.
    variance += float((ridge * (inverse @ gradient) ** 2).sum())
    mean = float(weights @ chances / weights.sum())
    return interval_of_rate(rate, mean * (1 - mean) / variance, num_prompts)


def _warnings(shift: float, d: NDArray[np.float64]) -> list[str]:
    if abs(shift) <= MAX_SHIFT:
        return []
    longer = "longer" if shift > 0 else "shorter"
    share = float((d > 0 if shift > 0 else d < 0).mean())
    return [
        f"The judged side is {longer} in {share:.0%} of the comparisons, by {abs(shift):.1f} standard "
        "deviations on average: what length did and what quality did can hardly be told apart, and the "
        "length-controlled win rate rests on a prior for the weight of length more than on the data."
    ]


def _by_length_alone(y: NDArray[np.float64], d: NDArray[np.float64]) -> list[str]:
    """The prior holds the weight of length down: where length decides all, a part of that stays."""
    decided = (y != 0.5) & (d != 0)
    num, num_longer = int(decided.sum()), int(((y > 0.5) == (d > 0))[decided].sum())
    which, won = max(("longer", num_longer), ("shorter", num - num_longer), key=lambda side: side[1])
    if num < MIN_DECIDED or won < BY_LENGTH * num:
        return []
    return [
        f"{won:,} of {num:,} decided comparisons went to the {which} answer: length may be all that decides, "
        "and the length-controlled win rate still holds a part of what length won."
    ]
