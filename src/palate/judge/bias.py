"""What moves a judge besides the answers' worth: where an answer stands, how long it is.

Figures only, each with the interval that the number of prompts allows. `findings` says what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palate.judge.sides import Label, are_identical, names_of, score_of_a, side_of
from palate.records import Comparison, Messages, Verdict
from palate.statistics.logistic import Slope, slope
from palate.statistics.win_rates import Outcome, win_rate

__all__ = [
    "Excess",
    "LengthFigures",
    "PositionFigures",
    "Rate",
    "excess_of",
    "length_figures",
    "position_figures",
    "rate_of",
]


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95% interval, which knows that what belongs to one prompt hangs together."""

    value: float | None
    """None where there is nothing to count."""
    interval_95: tuple[float, float] | None
    num: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        interval = None if self.interval_95 is None else list(self.interval_95)
        return {"value": self.value, "interval_95": interval, "num": self.num}


def rate_of(outcomes: Sequence[Outcome], prompts: Sequence[str]) -> Rate:
    """Wins and half the ties, over all that is not missing."""
    result = win_rate(outcomes, prompts)
    known = result.win_rate is not None
    return Rate(result.win_rate, result.interval_95 if known else None, result.num_comparisons)


@dataclass(frozen=True, slots=True)
class Excess:
    """How much more often a judge leans to one kind of answer than others do, on the same comparisons.

    `value` is the share of comparisons in which the judge leans further to that kind, less the share in which
    the others do: 0 where both lean alike. Others that choose at random part of the time lean less to
    whatever is better, so that a small excess may be their noise.
    """

    against: str
    """`votes`, or `jurors`: the other jurors' majority."""
    value: float
    interval_95: tuple[float, float]
    num: int
    judge_rate: float
    """The judge's own rate on these comparisons."""
    others_rate: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "against": self.against,
            "value": self.value,
            "interval_95": list(self.interval_95),
            "num": self.num,
            "judge_rate": self.judge_rate,
            "others_rate": self.others_rate,
        }


def excess_of(
    verdicts: Sequence[Verdict],
    leaning: Callable[[Comparison], bool | None],
    others: Mapping[str, Label],
    against: str,
) -> Excess | None:
    """By how much a judge leans further than others say; None where they share no comparison.

    Args:
        verdicts: the judge's.
        leaning: whether a comparison's `a` is of the kind that is asked about; None where that says nothing.
        others: what the others say, by the comparison's id.
        against: who the others are.
    """
    outcomes: list[Outcome] = []
    prompts: list[str] = []
    own_sum = others_sum = 0.0
    for verdict in verdicts:
        comparison = verdict.comparison
        is_a, label = leaning(comparison), others.get(names_of(comparison).id)
        if is_a is None or label is None or verdict.preferred is None:
            continue
        own = score_of_a(verdict.preferred)
        theirs = score_of_a(side_of(comparison, label))
        own, theirs = (own, theirs) if is_a else (1 - own, 1 - theirs)
        own_sum, others_sum = own_sum + own, others_sum + theirs
        outcomes.append("win" if own > theirs else "loss" if own < theirs else "tie")
        prompts.append(names_of(comparison).prompt_id)
    if not outcomes:
        return None
    result = win_rate(outcomes, prompts)
    low, high = result.interval_95
    return Excess(
        against=against,
        value=2 * (result.win_rate or 0.0) - 1,
        interval_95=(2 * low - 1, 2 * high - 1),
        num=len(outcomes),
        judge_rate=own_sum / len(outcomes),
        others_rate=others_sum / len(outcomes),
    )


@dataclass(frozen=True, slots=True)
class PositionFigures:
    """What a judge does with the order in which it sees two answers."""

    flips: Rate
    """Share of comparisons seen in both orders in which each order preferred another answer."""
    num_flips: int
    num_flips_to_first: int
    """Flips in which whatever stood first was preferred; the others went to whatever stood second."""
    num_half_flips: int
    """One order a tie, the other not."""
    first: Rate
    """How often the answer shown first is preferred, over all looks; ties are half."""
    num_first: int
    num_second: int
    num_ties: int
    why_none: str = ""
    """Why there are no flips to count."""


def position_figures(verdicts: Sequence[Verdict]) -> PositionFigures:
    """From the looks that verdicts rest on; where none are, or of one order only, the figures say so."""
    flips: list[Outcome] = []
    flip_prompts: list[str] = []
    looks: list[Outcome] = []
    look_prompts: list[str] = []
    num_half = num_to_first = 0
    for verdict in verdicts:
        prompt = names_of(verdict.comparison).prompt_id
        said = {call.shown_first: call.preferred for call in verdict.calls}
        for call in verdict.calls:
            if call.preferred is not None:
                side: Outcome = "win" if call.preferred == call.shown_first else "loss"
                looks.append("tie" if call.preferred == "tie" else side)
                look_prompts.append(prompt)
        a_first, b_first = said.get("a"), said.get("b")
        if a_first is None or b_first is None:
            continue
        flipped = a_first != b_first and "tie" not in (a_first, b_first)
        num_half += a_first != b_first and not flipped
        num_to_first += flipped and a_first == "a"
        flips.append("win" if flipped else "loss")
        flip_prompts.append(prompt)
    return PositionFigures(
        flips=rate_of(flips, flip_prompts),
        num_flips=flips.count("win"),
        num_flips_to_first=num_to_first,
        num_half_flips=num_half,
        first=rate_of(looks, look_prompts),
        num_first=looks.count("win"),
        num_second=looks.count("loss"),
        num_ties=looks.count("tie"),
        why_none="" if flips else _why_no_flips(verdicts, num_looks=len(looks)),
    )


def _why_no_flips(verdicts: Sequence[Verdict], num_looks: int) -> str:
    if not any(verdict.calls for verdict in verdicts):
        return "this kind of judge sees no order of two answers" if verdicts else "nothing was judged"
    if not num_looks:
        return "no look at a comparison gave a verdict"
    return "no comparison was judged in both orders"


@dataclass(frozen=True, slots=True)
class LengthFigures:
    """How a judge's preferences go with length, in characters. That proves no bias: longer may be better.

    The slope is that of a logistic regression of the preference on the difference in length, with an
    intercept. Sides are those of the generators where they are known, so that one model's being better and
    longer throughout goes into the intercept; otherwise, and where that leaves nothing to fit, they are drawn
    by content.
    """

    slope: float | None
    """Change of the log-odds of being preferred for one standard deviation of the length difference."""
    slope_interval_95: tuple[float, float] | None
    slope_p: float | None
    standard_deviation: float
    """Of the length difference, in characters: what the slope is for."""
    longer: Rate
    """How often the longer answer is preferred; ties are half, answers of one length are left out."""
    excess: Excess | None
    """The judge's leaning to the longer answer, beyond that of the votes or the other jurors."""
    others_slope: float | None
    """The same slope for the votes, or the other jurors, on the comparisons that both judged."""
    notes: tuple[str, ...] = ()
    """Why there is no slope, or no interval, or what it rests on."""


def length_figures(verdicts: Sequence[Verdict], others: Mapping[str, Label], against: str) -> LengthFigures:
    """How verdicts go with length, beside what others say of the same comparisons.

    Args:
        verdicts: the judge's.
        others: what the votes, or the other jurors, say by the comparison's id.
        against: which of these they are.
    """
    given = [
        (verdict.comparison, score_of_a(verdict.preferred))
        for verdict in verdicts
        if verdict.preferred is not None and not are_identical(verdict.comparison)
    ]
    shared = [
        (comparison, score_of_a(side_of(comparison, others[names_of(comparison).id])))
        for comparison, _ in given
        if names_of(comparison).id in others
    ]
    outcomes: list[Outcome] = []
    prompts: list[str] = []
    for comparison, of_a in given:
        a_is_longer = _a_is_longer(comparison)
        if a_is_longer is not None:
            outcomes.append("tie" if of_a == 0.5 else "win" if (of_a == 1) == a_is_longer else "loss")
            prompts.append(names_of(comparison).prompt_id)
    own, of_others = _slope(given), _slope(shared)
    return LengthFigures(
        slope=own.value,
        slope_interval_95=own.interval_95,
        slope_p=own.p,
        standard_deviation=own.standard_deviation,
        longer=rate_of(outcomes, prompts),
        excess=excess_of(verdicts, _a_is_longer, others, against),
        others_slope=of_others.value,
        notes=own.notes,
    )


def _slope(scores: Sequence[tuple[Comparison, float]]) -> Slope:
    by_generator = _fit(scores, _stands_first)
    return _fit(scores, _is_one) if by_generator.value is None else by_generator


def _fit(scores: Sequence[tuple[Comparison, float]], stands_first: Callable[[Comparison], bool]) -> Slope:
    differences, wins = [], []
    for comparison, of_a in scores:
        difference = _length(comparison.completion_a) - _length(comparison.completion_b)
        first = stands_first(comparison)
        differences.append(difference if first else -difference)
        wins.append(of_a if first else 1 - of_a)
    return slope(differences, wins, [names_of(comparison).prompt_id for comparison, _ in scores])


def _is_one(comparison: Comparison) -> bool:
    return names_of(comparison).a_is_one


def _stands_first(comparison: Comparison) -> bool:
    """Whether `a` is the side that is asked about: by the generators' names, else by content."""
    a, b = comparison.generators
    return names_of(comparison).a_is_one if a is None or b is None or a == b else a < b


def _a_is_longer(comparison: Comparison) -> bool | None:
    difference = _length(comparison.completion_a) - _length(comparison.completion_b)
    return None if difference == 0 else difference > 0


def _length(completion: Messages) -> int:
    return sum(len(message.content) for message in completion)
