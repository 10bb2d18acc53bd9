"""The figures of a table of judgements: counts, the win rate with its error, and what lengths did."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.statistics.length_control import LengthControlled, length_controlled_win_rate
from palate.statistics.win_rates import Outcome, WinRate, score_interval, win_rate

__all__ = ["JudgedWinRate", "judged_win_rate"]


@dataclass(frozen=True, slots=True)
class JudgedWinRate:
    """How a model did in a table of judgements. Rates are in 0..1."""

    counts: WinRate
    """Each judgement as a win, a loss or a tie, by the side of 0.5 its score lies on."""
    win_rate: float | None
    """The mean score: of probabilities, where the judge gives them, and of 1, 0.5 and 0 else."""
    standard_error: float | None
    """Of the mean score; over prompts, where one occurs more than once."""
    interval_95: tuple[float, float]
    """A score interval; soft scores carry more than their sides and make it narrower."""
    is_soft: bool
    """Whether scores other than 0, 0.5 and 1 occur."""
    length_controlled: LengthControlled | None
    """None where the lengths are not known."""

    @property
    def discrete_win_rate(self) -> float | None:
        """(wins + ties / 2) / comparisons."""
        return self.counts.win_rate


def judged_win_rate(
    scores: Sequence[float | None],
    prompt_ids: Sequence[Hashable],
    length_differences: Sequence[float] | None = None,
) -> JudgedWinRate:
    """Figures for the side whose scores these are.

    Args:
        scores: 1 a win, 0 a loss, 0.5 a tie, or a probability; None where there is no verdict.
        prompt_ids: one for each.
        length_differences: this side's length minus the other's, one for each.
    """
    outcomes: list[Outcome] = [
        None if score is None else "tie" if score == 0.5 else "win" if score > 0.5 else "loss"
        for score in scores
    ]
    counts = win_rate(outcomes, prompt_ids)
    given = [place for place, score in enumerate(scores) if score is not None]
    y = np.array([scores[place] for place in given], dtype=np.float64)
    prompts = [prompt_ids[place] for place in given]
    is_soft = bool(np.isin(y, (0.0, 0.5, 1.0), invert=True).any())
    error = _standard_error(y, prompts)
    interval = counts.interval_95
    if is_soft:
        interval = _soft_interval(float(y.mean()), error, len(y))
    controlled = None
    if length_differences is not None and len(y):
        differences = [length_differences[place] for place in given]
        controlled = length_controlled_win_rate(y, differences, prompts)
    return JudgedWinRate(counts, float(y.mean()) if len(y) else None, error, interval, is_soft, controlled)


def _standard_error(y: NDArray[np.float64], prompts: Sequence[Hashable]) -> float | None:
    """sd / sqrt(n) of independent judgements; linearised over prompts of several."""
    if len(y) < 2:
        return None
    sums: dict[Hashable, float] = {}
    for prompt, residual in zip(prompts, (y - y.mean()).tolist(), strict=True):
        sums[prompt] = sums.get(prompt, 0.0) + residual
    if len(sums) == len(y):
        return float(y.std(ddof=1)) / math.sqrt(len(y))
    if len(sums) == 1:
        return None
    residuals = np.array(list(sums.values()))
    return math.sqrt(len(sums) / (len(sums) - 1) * float((residuals**2).sum())) / len(y)


def _soft_interval(rate: float, error: float | None, n: int) -> tuple[float, float]:
    """Wilson's interval at the number of plain judgements that would know the rate as well."""
    if error is None:
        return 0.0, 1.0
    effective = float(n) if error == 0 else max(rate * (1 - rate) / error**2, 1e-9)
    return score_interval(rate * effective, (1 - rate) * effective)
