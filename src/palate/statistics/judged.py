"""The figures of a table of judgements: counts, the win rate with its error, and what lengths did."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.statistics.effective import effective_number, interval_of_rate
from palate.statistics.length_control import LengthControlled, length_controlled_win_rate
from palate.statistics.resampling import NUM_RESAMPLES, interval_around, resampled_sums
from palate.statistics.win_rates import Outcome, WinRate, win_rate

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
    bootstrap_interval_95: tuple[float, float] | None
    """Over prompts that are weighed anew (see `resampling`); None with a single one."""
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
    *,
    seed: int = 0,
) -> JudgedWinRate:
    """Figures for the side whose scores these are.

    Args:
        scores: 1 a win, 0 a loss, 0.5 a tie, or a probability; None where there is no verdict.
        prompt_ids: one for each.
        length_differences: this side's length minus the other's, one for each.
        seed: of the bootstrap.
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
        interval = _soft_interval(y, prompts)
    controlled = None
    if length_differences is not None and len(y):
        differences = [length_differences[place] for place in given]
        controlled = length_controlled_win_rate(y, differences, prompts)
    rate = float(y.mean()) if len(y) else None
    bootstrap = _bootstrap(y, prompts, seed)
    return JudgedWinRate(counts, rate, error, interval, bootstrap, is_soft, controlled)


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


def _bootstrap(y: NDArray[np.float64], prompts: Sequence[Hashable], seed: int) -> tuple[float, float] | None:
    sums: dict[Hashable, list[float]] = {}
    for prompt, score in zip(prompts, y.tolist(), strict=True):
        of_one = sums.setdefault(prompt, [0.0, 0.0])
        of_one[0] += score
        of_one[1] += 1
    if len(sums) < 2:
        return None
    own = np.array(list(sums.values()))
    size = len(y) / len(sums)
    possible = np.array([[0.0, size], [size, size]])  # a prompt of the usual size, all lost or all won
    drawn = resampled_sums(own, possible, seed=seed, num_resamples=NUM_RESAMPLES)
    rates = np.concatenate([part[:, 0] / part[:, 1] for part in drawn])
    return interval_around(float(y.mean()), rates, len(sums))


def _soft_interval(y: NDArray[np.float64], prompts: Sequence[Hashable]) -> tuple[float, float]:
    num_prompts = len(set(prompts))
    if num_prompts < 2:
        return 0.0, 1.0
    return interval_of_rate(float(y.mean()), effective_number(y, prompts), num_prompts)
