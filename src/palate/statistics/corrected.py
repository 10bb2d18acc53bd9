"""The win rate behind a judge's: what it has to be, where it is known how often the judge is right."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.statistics.effective import effective_number, interval_of_rate
from palate.statistics.resampling import places
from palate.statistics.win_rates import BESIDE

__all__ = ["AgreementCorrected", "agreement_corrected_win_rate"]

_NUM_TRIED = 4001
"""Win rates that are held against the data: ends are exact to a fortieth of a percent, rounded outwards."""

_NUM_STEPS = 30
_LEAST_VARIANCE = 1e-9


@dataclass(frozen=True, slots=True)
class AgreementCorrected:
    """A win rate with the judge's errors taken out. Rates are in 0..1."""

    win_rate: float | None
    """None where it cannot be told: `reason` says why."""
    interval_95: tuple[float, float] | None
    """It carries how uncertain the judge's accuracy is, too."""
    accuracy: float | None
    """How often the judge prefers what people prefer; a tie of the judge's is half right."""
    accuracy_interval_95: tuple[float, float] | None
    num_known: int
    """Comparisons on which people preferred one side, and the judge gave a verdict."""
    reason: str = ""


def agreement_corrected_win_rate(
    scores: Sequence[float | None],
    prompt_ids: Sequence[Hashable],
    rights: Sequence[float],
    right_prompt_ids: Sequence[Hashable],
) -> AgreementCorrected:
    """(p + a - 1) / (2a - 1): the share p that a judge who is right at rate a makes of it, undone.

    A judge who errs as often on either side turns a true win rate q into a q + (1 - a)(1 - q) (Rogan and
    Gladen, American Journal of Epidemiology 107, 1978, with equal error rates). A judge who errs more on one
    side is beyond this; so are people who were asked about other comparisons than these.

    The interval holds every q that the data do not refute. Given q, p - (1 - q) - a (2q - 1) has the mean 0,
    and is held against its error at that q (Fieller's way with a ratio, with the variances of a score test).
    A bootstrap of p and a together was wider and held the truth 97% of the time: resamples of a poor judge
    who is nearly a coin throw the ratio anywhere. Where the estimate would lie outside 0..1, what not even
    the best q explains is not held against the others: an interval is never empty.

    Args:
        scores: [comparisons], how far the judge has the judged side win: 1, 0.5, 0; None without a verdict.
        prompt_ids: the prompt of each.
        rights: [comparisons where people preferred a side], 1 where the judge did too, 0 where it preferred
            the other, 0.5 for a tie.
        right_prompt_ids: the prompt of each.
    """
    given = [(score, prompt) for score, prompt in zip(scores, prompt_ids, strict=True) if score is not None]
    if not given or not rights:
        reason = "there is no verdict" if not given else "people preferred a side of nothing that was judged"
        return AgreementCorrected(None, None, None, None, len(rights), reason)
    judged = _Rate.of([score for score, _ in given], [prompt for _, prompt in given])
    right = _Rate.of(rights, right_prompt_ids)
    accuracy = right.value
    if min(judged.num_prompts, right.num_prompts) < 2:
        reason = "one prompt says nothing of another: it takes two for an interval"
        return AgreementCorrected(None, None, accuracy, None, len(rights), reason)
    of_accuracy = interval_of_rate(accuracy, right.effective, right.num_prompts)
    if accuracy <= 0.5:
        reason = (
            f"the judge agrees with people on {accuracy:.0%} of {len(rights)}, no more than a coin would: "
            "nothing can be told from it"
        )
        return AgreementCorrected(None, None, accuracy, of_accuracy, len(rights), reason)
    corrected = min(max((judged.value + accuracy - 1) / (2 * accuracy - 1), 0.0), 1.0)
    interval = _interval(corrected, judged, right)
    return AgreementCorrected(corrected, interval, accuracy, of_accuracy, len(rights))


@dataclass(frozen=True, slots=True)
class _Rate:
    """A mean over prompts."""

    value: float
    effective: float
    """The number of plain comparisons that would know it as well."""
    num_comparisons: int
    num_prompts: int
    residuals: dict[Hashable, float]
    """Of each prompt the sum of its scores' distances from the mean."""

    @classmethod
    def of(cls, scores: Sequence[float], prompt_ids: Sequence[Hashable]) -> _Rate:
        value = float(np.mean(scores))
        residuals = dict.fromkeys(places(prompt_ids), 0.0)
        for score, prompt in zip(scores, prompt_ids, strict=True):
            residuals[prompt] += score - value
        effective = effective_number(np.array(scores), prompt_ids) if len(residuals) > 1 else 1.0
        return cls(value, effective, len(scores), len(residuals), residuals)

    @property
    def freedom(self) -> float:
        """For Student's quantile: prompts of one comparison each have the variance of a tossed coin."""
        return self.num_prompts if self.num_prompts < self.num_comparisons else math.inf


def _interval(corrected: float, judged: _Rate, right: _Rate) -> tuple[float, float]:
    tried = np.linspace(0.0, 1.0, _NUM_TRIED)
    misfit, quantile = _misfit(tried, judged, right)
    least = _misfit(np.array([corrected]), judged, right)[0][0]
    allowed = np.flatnonzero(misfit - least <= quantile**2)
    if not len(allowed):  # between two of those that were tried
        return corrected, corrected
    low, high = max(int(allowed[0]) - 1, 0), min(int(allowed[-1]) + 1, _NUM_TRIED - 1)
    return min(float(tried[low]), corrected), max(float(tried[high]), corrected)


def _misfit(
    rates_Q: NDArray[np.float64], judged: _Rate, right: _Rate
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[Q], by how many variances the data lie off each win rate; and [Q], the quantile to hold it against."""
    from scipy.special import stdtrit

    lead = 2 * rates_Q - 1
    of_judged, of_right = _variances(rates_Q, judged, right)
    own, theirs = of_judged / judged.effective, of_right / right.effective
    # On comparisons that people voted on, the judge's errors move both. At this rate the two can be alike
    # only so far; how far they are is estimated, and where hardly a side lost, badly.
    most = np.abs(lead) * np.sqrt(of_right / of_judged)
    alike = np.clip(np.sign(lead) * _correlation(judged, right), 0.0, most)
    variance = own + lead**2 * theirs - 2 * np.abs(lead) * alike * np.sqrt(own * theirs)
    off = judged.value - (1 - rates_Q) - right.value * lead
    # Welch and Satterthwaite's; without prompts of several comparisons it is infinite.
    fewer = own**2 / judged.freedom + (lead**2 * theirs) ** 2 / right.freedom
    freedom = (own + lead**2 * theirs) ** 2 / np.maximum(fewer, 1e-300)
    return off**2 / np.maximum(variance, _LEAST_VARIANCE), stdtrit(np.minimum(freedom, 1e9), 0.975)


def _variances(
    rates_Q: NDArray[np.float64], judged: _Rate, right: _Rate
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[Q] of one comparison each, at the accuracy that is likeliest if the win rate were this one.

    It is found by weighing what both rates say of it, by their variances at the accuracy so far.
    """
    lead = 2 * rates_Q - 1
    accuracy = np.full_like(rates_Q, right.value)
    for _ in range(_NUM_STEPS):
        own, theirs = _of_coin(1 - rates_Q + accuracy * lead), _of_coin(accuracy)
        by_judged, by_right = judged.effective / own, right.effective / theirs
        told = right.value * by_right + lead * (judged.value - 1 + rates_Q) * by_judged
        likeliest = told / (by_right + lead**2 * by_judged)
        accuracy = np.clip((accuracy + likeliest) / 2, 0.5, 1.0)
    return _of_coin(1 - rates_Q + accuracy * lead), _of_coin(accuracy)


def _of_coin(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(rates * (1 - rates), _LEAST_VARIANCE)


def _correlation(judged: _Rate, right: _Rate) -> float:
    """Of the two means, over the prompts that both know.

    Beside each stands half a prompt, won as likely as lost, as everywhere: it is never quite 1.
    """
    both = sum(
        residual * right.residuals[prompt]
        for prompt, residual in judged.residuals.items()
        if prompt in right.residuals
    )
    squares = [
        sum(residual**2 for residual in rate.residuals.values())
        + BESIDE
        * (rate.num_comparisons / rate.num_prompts) ** 2
        * ((1 - rate.value) ** 2 + rate.value**2)
        / 2
        for rate in (judged, right)
    ]
    return both / math.sqrt(squares[0] * squares[1])
