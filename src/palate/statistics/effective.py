"""How many plain comparisons would know a rate as well: from any variance to a score interval.

A rate's normal interval fails where the rate is near 0 or 1, and where nothing varied it has no width. A
score interval does neither, but takes a number of comparisons. That number is rate (1 - rate) / variance,
both with half a prompt beside those there are, all won as likely as all lost: without it, twenty losses of
twenty would be worth any number of comparisons.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from palate.statistics.resampling import places
from palate.statistics.win_rates import BESIDE, score_interval

__all__ = ["effective_number", "interval_of_rate"]


def effective_number(scores: NDArray[np.float64], prompt_ids: Sequence[Hashable]) -> float:
    """The number of plain comparisons that would know the scores' mean as well as these do.

    Args:
        scores: [rows], 0 to 1.
        prompt_ids: which prompt each is of; two different ones or more.
    """
    place = places(prompt_ids)
    rows = [place[prompt] for prompt in prompt_ids]
    sums = np.bincount(rows, weights=scores)
    sizes = np.bincount(rows).astype(np.float64)
    size, num_weighed = float(sizes.mean()), len(sums) + BESIDE
    total = num_weighed * size
    rate = (sums.sum() + BESIDE * size / 2) / total
    spread = ((sums - rate * sizes) ** 2).sum() + BESIDE * size**2 * ((1 - rate) ** 2 + rate**2) / 2
    variance = num_weighed / (num_weighed - 1) * spread / total**2
    return float(rate * (1 - rate) / variance)


def interval_of_rate(rate: float, effective: float, num_prompts: int) -> tuple[float, float]:
    """The 95% score interval of a rate that is known as well as `effective` comparisons would know it.

    Args:
        rate: 0 to 1.
        effective: above 0.
        num_prompts: how many prompts the variance was seen on; with few, Student's quantile is wider.
    """
    if num_prompts < 2:
        return 0.0, 1.0
    from scipy.special import stdtrit

    quantile = float(stdtrit(num_prompts, 0.975))
    return score_interval(rate * effective, (1 - rate) * effective, 0.0, quantile)
