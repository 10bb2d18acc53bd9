"""Figures of one model's answers, and of two models' answers to the same prompts, that know of prompts.

Several answers to a prompt are no more witnesses than one: each prompt counts by the mean of its answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from palate.statistics.per_token import per_token, positive_per_token
from palate.statistics.win_rates import Outcome, sign_test, win_rate

__all__ = ["Estimate", "Growth", "growth", "mean", "share", "sign_test_of_prompts"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and where its true value lies with 95% confidence; None where nothing tells."""

    value: float
    interval_95: tuple[float, float] | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        interval = None if self.interval_95 is None else list(self.interval_95)
        return {"value": self.value, "interval_95": interval}


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much one model's figure is larger than another's."""

    ratio: float
    """1: not at all."""
    interval_95: tuple[float, float] | None
    p: float
    """Two-sided, of equal means: Student's t over the prompts' differences."""


def share(flags: Sequence[Sequence[bool]]) -> Estimate:
    """Of all answers those that are flagged: a score interval, as wide as the number of prompts makes it.

    Args:
        flags: for each prompt one for each answer.
    """
    outcomes: list[Outcome] = ["win" if flag else "loss" for own in flags for flag in own]
    prompts = [prompt for prompt, own in enumerate(flags) for _ in own]
    counted = win_rate(outcomes, prompts)
    return Estimate(counted.win_rate or 0.0, counted.interval_95 if counted.num_comparisons else None)


def mean(values: Sequence[Sequence[float]]) -> Estimate:
    """Of all answers, with an interval over prompts, for figures that are not below 0, such as lengths."""
    of_prompts = _by_prompt(values)
    return Estimate(*positive_per_token(of_prompts.tolist(), [1.0] * len(of_prompts)))


def growth(own: Sequence[Sequence[float]], base: Sequence[Sequence[float]]) -> Growth | None:
    """The ratio of two means; None where the base's is 0.

    It is what the model wrote per character of the base's, and has that interval.
    """
    ours, theirs = _by_prompt(own), _by_prompt(base)
    if theirs.mean() <= 0:
        return None
    ratio, interval = per_token(ours.tolist(), theirs.tolist())
    if interval is not None:
        interval = max(interval[0], 0.0), interval[1]
    return Growth(ratio, interval, _p_of_no_difference(ours - theirs))


def sign_test_of_prompts(own: Sequence[Sequence[bool]], base: Sequence[Sequence[bool]]) -> float:
    """Two-sided exact p-value that as many prompts have more flagged answers of one model as of the other.

    With one answer a prompt it is McNemar's test.
    """
    more = sum(sum(ours) > sum(theirs) for ours, theirs in zip(own, base, strict=True))
    fewer = sum(sum(ours) < sum(theirs) for ours, theirs in zip(own, base, strict=True))
    return sign_test(more, fewer)


def _by_prompt(values: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    return np.array([float(np.mean(own)) for own in values])


def _p_of_no_difference(differences: NDArray[np.float64]) -> float:
    if len(differences) < 2 or not differences.any():
        return 1.0
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    if error == 0:
        # All the same: as sure as that many equal signs make it.
        return sign_test(len(differences), 0)
    return float(2 * t.sf(abs(float(differences.mean())) / error, len(differences) - 1))
