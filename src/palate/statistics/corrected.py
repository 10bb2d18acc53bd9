"""The win rate behind a judge's: what it has to be, where it is known how often the judge is right."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.statistics.effective import effective_number, interval_of_rate
from palate.statistics.resampling import NUM_RESAMPLES, interval_around, places, resampled_sums

__all__ = ["AgreementCorrected", "agreement_corrected_win_rate"]


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
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> AgreementCorrected:
    """(p + a - 1) / (2a - 1): the share p that a judge who is right at rate a makes of it, undone.

    A judge who errs as often on either side turns a true win rate q into a q + (1 - a)(1 - q) (Rogan and
    Gladen, American Journal of Epidemiology 107, 1978, with equal error rates). A judge who errs more on one
    side is beyond this; so are people who were asked about other comparisons than these. The interval is a
    bootstrap over prompts of p and a together; a resample in which the judge is no better than a coin leaves
    every win rate possible. Where it reaches 0 or 1 its other end is no nearer than that of the score
    interval would be if a were known: with few comparisons the bootstrap alone held a truth near 0 or 1 90
    times in 100.

    Args:
        scores: [comparisons], how far the judge has the judged side win: 1, 0.5, 0; None without a verdict.
        prompt_ids: the prompt of each.
        rights: [comparisons where people preferred a side], 1 where the judge did too, 0 where it preferred
            the other, 0.5 for a tie.
        right_prompt_ids: the prompt of each.
        seed: of the bootstrap.
        num_resamples: of the bootstrap.
    """
    given = [(score, prompt) for score, prompt in zip(scores, prompt_ids, strict=True) if score is not None]
    if not given or not rights:
        reason = "there is no verdict" if not given else "people preferred a side of nothing that was judged"
        return AgreementCorrected(None, None, None, None, len(rights), reason)
    rate = float(np.mean([score for score, _ in given]))
    accuracy = float(np.mean(rights))
    sums = _sums(given, rights, right_prompt_ids)
    num_prompts = int((sums[:, 3] > 0).sum())
    if num_prompts < 2 or int((sums[:, 1] > 0).sum()) < 2:
        reason = "one prompt says nothing of another: it takes two for an interval"
        return AgreementCorrected(None, None, accuracy, None, len(rights), reason)
    drawn = np.concatenate(
        list(resampled_sums(sums, _possible(sums), seed=seed, num_resamples=num_resamples))
    )
    rates, accuracies = drawn[:, 0] / drawn[:, 1], drawn[:, 2] / drawn[:, 3]
    of_accuracy = interval_around(accuracy, accuracies, num_prompts)
    if accuracy <= 0.5:
        reason = (
            f"the judge agrees with people on {accuracy:.0%} of {len(rights)}, no more than a coin would: "
            "nothing can be told from it"
        )
        return AgreementCorrected(None, None, accuracy, of_accuracy, len(rights), reason)
    corrected = _corrected(np.array([rate]), np.array([accuracy]))[0]
    return AgreementCorrected(
        float(corrected),
        _held_open(
            _interval(float(corrected), rates, accuracies, num_prompts),
            _if_accuracy_were_known(given, accuracy),
        ),
        accuracy,
        of_accuracy,
        len(rights),
    )


def _sums(
    given: Sequence[tuple[float, Hashable]], rights: Sequence[float], right_prompts: Sequence[Hashable]
) -> NDArray[np.float64]:
    """[prompts, 4]: the sum and number of scores, and of rights."""
    prompts = places([*(prompt for _, prompt in given), *right_prompts])
    sums = np.zeros((len(prompts), 4))
    np.add.at(sums, [prompts[prompt] for _, prompt in given], [(score, 1.0, 0.0, 0.0) for score, _ in given])
    of_rights = [(0.0, 0.0, right, 1.0) for right in rights]
    np.add.at(sums, [prompts[prompt] for prompt in right_prompts], of_rights)
    return sums


def _possible(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """[4, 4]: prompts of the usual size that went all one way, the judge right or wrong in all."""
    sizes = [sums[:, column].sum() / max((sums[:, column] > 0).sum(), 1) for column in (1, 3)]
    return np.array(
        [
            (score * sizes[0], sizes[0], right * sizes[1], sizes[1])
            for score in (0.0, 1.0)
            for right in (0.0, 1.0)
        ]
    )


def _corrected(rates: NDArray[np.float64], accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip((rates + accuracies - 1) / (2 * accuracies - 1), 0.0, 1.0)


def _if_accuracy_were_known(given: Sequence[tuple[float, Hashable]], accuracy: float) -> tuple[float, float]:
    scores, prompts = np.array([score for score, _ in given]), [prompt for _, prompt in given]
    ends = interval_of_rate(float(scores.mean()), effective_number(scores, prompts), len(set(prompts)))
    low, high = _corrected(np.array(ends), np.array([accuracy])).tolist()
    return low, high


def _held_open(interval: tuple[float, float], known: tuple[float, float]) -> tuple[float, float]:
    low, high = interval
    return (min(low, known[0]) if high >= 1 else low), (max(high, known[1]) if low <= 0 else high)


def _interval(
    value: float, rates: NDArray[np.float64], accuracies: NDArray[np.float64], num_prompts: int
) -> tuple[float, float]:
    knows = accuracies > 0.5
    found = np.zeros(len(rates))
    found[knows] = _corrected(rates[knows], accuracies[knows])
    lowest, highest = np.where(knows, found, 0.0), np.where(knows, found, 1.0)
    return interval_around(value, lowest, num_prompts)[0], interval_around(value, highest, num_prompts)[1]
