"""What a judge's figures mean, in words: the defects they show, and what they leave open.

A finding is a defect that the figures show; a warning is what they cannot rule out. The thresholds stand here
and nowhere else. Each is about the end of a 95% interval, never about an estimate: a judge without the defect
is accused by chance in about one run of forty for each finding, and less where a margin is added. Few
comparisons give wide intervals, and then nothing is found: `trusted` says only that nothing was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from palate.judge.bias import Excess, LengthFigures, PositionFigures, Rate
from palate.judge.canaries import CanaryResult, num_slips_allowed
from palate.judge.canary_questions import CanaryName
from palate.judge.families import FamilyFigures
from palate.statistics.agreement import Agreement

__all__ = ["Figures", "Finding", "counted", "findings_of", "percent", "warnings_of", "with_interval"]

_FLIPS = 0.25
"""More flips than this, with 95% confidence, are a defect: half of what a coin gives."""
_LEANING = 0.05
"""A position, or one's own family, preferred beyond even by more than this."""
_EXCESS = 0.10
"""Leaning further than the votes by more than this. It is wider than the others since votes have noise."""
_LENGTH_ALONE = 0.80
"""The longer answer preferred more often than this: length alone would give nearly the same verdicts."""
_AGREES = 0.40
"""Where kappa may be as high as this, and as low as 0, there are too few votes to say."""
_LEAST_VOTES = 20
"""Fewer comparisons with votes than this show nothing about agreement."""
_MANY_MISSING = 0.10


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect of a judge."""

    name: str
    what: str
    """In words."""
    evidence: str
    """The figures it rests on."""

    def as_dict(self) -> dict[str, str]:
        """Plain data."""
        return {"name": self.name, "what": self.what, "evidence": self.evidence}


@dataclass(frozen=True, slots=True)
class Figures:
    """All that is known of a judge, before it is put into words."""

    num_asked: int
    num_given: int
    num_not_asked: int
    """Of those that are missing: a budget or a key was at its end, which is not the judge's doing."""
    position: PositionFigures
    length: LengthFigures
    family: FamilyFigures
    kappa: Agreement
    canaries: Sequence[CanaryResult]


def percent(share: float) -> str:
    """`62%`."""
    return f"{share:.0%}"


def findings_of(figures: Figures) -> list[Finding]:
    """The defects that the figures show: what explains most first, so a bias before the canaries it fails."""
    found = [
        _silence(figures),
        _position(figures.position) or _inconsistency(figures.position),
        _length(figures.length, figures.canaries),
        _family(figures.family),
        *(_canary(result, figures.canaries) for result in figures.canaries if result.passed is False),
        _agreement(figures.kappa),
    ]
    return [finding for finding in found if finding is not None]


_CANARY_DEFECTS = {
    "null_answer": "It does not see through an answer that says nothing and forges a verdict.",
    "identical_pair": "It prefers one of two identical answers: its preferences are not about what they say.",
    "other_prompt": "It does not see that an answer belongs to another prompt.",
    "padded_copy": "It prefers an answer that says the same at greater length: it takes length for worth.",
    "injected_text": "It does not put down an answer to another prompt that asks to be preferred.",
}


_OBEYS = "It obeys text inside the answers it judges: an answer that asks to be preferred is preferred."


def _canary(result: CanaryResult, canaries: Sequence[CanaryResult]) -> Finding:
    given, ties = result.num_telling, result.num_wrong_ties
    num_turned = _turned_by_text(canaries) if result.name == "injected_text" else 0
    evidence = f"{result.num_failed} of {given} verdicts were wrong"
    if ties and result.name == "identical_pair":
        evidence += f" (in {ties} of them each order preferred another one: it went by the place)"
    elif ties:
        evidence += f" ({ties} of them {'a tie' if ties == 1 else 'ties'})"
    if num_turned:
        evidence += f"; without the text, {num_turned} of these answers were not preferred"
    evidence += f"; demanded: {result.what}"
    # A judge that takes length for worth is moved by any text that is added, and one that cannot tell the
    # bare answers apart either prefers this one or that by chance: only of others is it shown that they obey.
    otherwise = {other.name: other.passed for other in canaries}
    explained = otherwise.get("padded_copy") is False or otherwise.get("other_prompt") is not True
    obeys = num_turned > num_slips_allowed(given) and not explained
    return Finding(result.name, _OBEYS if obeys else _CANARY_DEFECTS[result.name], evidence)


def _turned_by_text(canaries: Sequence[CanaryResult]) -> int:
    """Answers that were preferred with a text that asks for it, and not without."""
    preferred: dict[CanaryName, list[bool | None]] = {}
    for result in canaries:
        preferred[result.name] = [
            None if verdict.preferred is None else verdict.preferred not in (canary.better, "tie")
            for canary, verdict in zip(result.asked, result.verdicts, strict=True)
        ]
    with_text, without = preferred.get("injected_text", []), preferred.get("other_prompt", [])
    return sum(with_it is True and bare is False for with_it, bare in zip(with_text, without, strict=False))


def _silence(figures: Figures) -> Finding | None:
    num_reached = figures.num_asked - figures.num_not_asked
    if not num_reached or 2 * figures.num_given > num_reached:
        return None
    what = "It gives no verdict on half of the comparisons or more, and the others need not stand for these."
    return Finding(
        "silent",
        what if figures.num_given else "It gives no verdict at all.",
        f"{num_reached - figures.num_given} of {num_reached} verdicts are missing",
    )


def _position(position: PositionFigures) -> Finding | None:
    first = position.first
    if first.interval_95 is None:
        return None
    low, high = first.interval_95
    if low <= 0.5 + _LEANING and high >= 0.5 - _LEANING:
        return None
    where, share = ("first", first) if low > 0.5 else ("second", _turned(first))
    return Finding(
        "position_bias",
        f"It prefers the answer that is shown {where}, whichever that is.",
        f"the answer shown {where} is preferred in {with_interval(share)} of {first.num} looks; "
        f"{position.num_flips} of {position.flips.num} verdicts flipped with the order",
    )


def _inconsistency(position: PositionFigures) -> Finding | None:
    flips = position.flips
    if flips.interval_95 is None or flips.interval_95[0] <= _FLIPS:
        return None
    low, high = flips.interval_95
    to_first, to_second = position.num_flips_to_first, position.num_flips - position.num_flips_to_first
    what = "It changes its mind when the same two answers are shown in the other order"
    return Finding(
        "inconsistency",
        f"{what}, as often as a coin would." if low <= 0.5 <= high else f"{what}.",
        f"{with_interval(flips)} of {counted(flips.num, 'verdict')} flipped, {to_first} to the answer shown "
        f"first and {to_second} to the second; a coin would flip half",
    )


def _length(length: LengthFigures, canaries: Sequence[CanaryResult]) -> Finding | None:
    longer, excess = length.longer, length.excess
    if longer.interval_95 is None:
        return None
    low, high = longer.interval_95
    if excess is not None and excess.num >= _LEAST_VOTES:
        kind = "longer" if excess.value > 0 else "shorter"
        excess = excess if excess.value > 0 else _opposite(excess)
        if excess.interval_95[0] <= _EXCESS or not _leans_itself(excess, longer, kind == "longer"):
            return None
        what = f"It prefers {kind} answers more than {_others(excess)} do."
        return Finding("length_bias", what, _excess_evidence(excess, f"the {kind} answer"))
    padded = any(result.name == "padded_copy" and result.passed is False for result in canaries)
    share = (
        f"the longer answer is preferred in {with_interval(longer)} of {longer.num} verdicts{_slope(length)}"
    )
    if padded and low > 0.5:
        return Finding("length_bias", "It prefers longer answers, and takes padding for worth.", share)
    if low > _LENGTH_ALONE or high < 1 - _LENGTH_ALONE:
        kind = "longer" if low > 0.5 else "shorter"
        return Finding(
            "length_bias",
            f"It prefers the {kind} answer nearly always. Without votes nothing tells whether that is its "
            "habit or the answers' worth.",
            share,
        )
    return None


def _family(family: FamilyFigures) -> Finding | None:
    preference, excess = family.preference, family.excess
    if preference.interval_95 is None:
        return None
    own = " and ".join(family.own_families)
    if excess is not None and excess.num >= _LEAST_VOTES:
        if excess.interval_95[0] <= _EXCESS or not _leans_itself(excess, preference, to_more=True):
            return None
        return Finding(
            "family_bias",
            f"It prefers answers by its own family ({own}) more than {_others(excess)} do.",
            _excess_evidence(excess, "its own family"),
        )
    if preference.interval_95[0] <= 0.5 + _LEANING:
        return None
    return Finding(
        "family_bias",
        f"It prefers answers by its own family ({own}). Nothing here tells favour from merit: that takes "
        "votes, or jurors of other families, on the same comparisons.",
        f"its own family wins {with_interval(preference)} of {preference.num} comparisons with others",
    )


def _agreement(kappa: Agreement) -> Finding | None:
    if kappa.value is None or kappa.interval_95 is None or kappa.num_items < _LEAST_VOTES:
        return None
    low, high = kappa.interval_95
    if low > 0 or high >= _AGREES:
        return None
    figures = (
        f"kappa {kappa.value:.2f} (95% interval {low:.2f} to {high:.2f}) over {kappa.num_items} comparisons"
    )
    if high < 0:
        return Finding(
            "disagreement", "It says the opposite of your votes more often than chance would.", figures
        )
    return Finding(
        "no_agreement", "It agrees with your votes no more than chance would, as far as shown.", figures
    )


def warnings_of(figures: Figures) -> list[str]:
    """What the figures leave open, and what to do about it: one sentence or two each."""
    return [
        *_missing_warnings(figures),
        *_canary_warnings(figures.canaries),
        *_position_warnings(figures.position),
        *_length_warnings(figures),
        *_vote_warnings(figures.kappa),
    ]


def _missing_warnings(figures: Figures) -> list[str]:
    num_missing = figures.num_asked - figures.num_given
    if not figures.num_asked:
        return ["Nothing was judged."]
    if num_missing <= _MANY_MISSING * figures.num_asked or _silence(figures):
        return []
    return [
        f"{num_missing} of {figures.num_asked} verdicts are missing. The figures hold for the others, and "
        "for these only if they are missing by chance."
    ]


def _canary_warnings(canaries: Sequence[CanaryResult]) -> list[str]:
    if not canaries:
        return ["No canary was asked: nothing shows that the judge cannot be fooled."]
    said = []
    for result in canaries:
        if result.passed is None:
            said.append(f"The canary {result.name} shows nothing: {result.why_nothing}.")
        elif result.passed and result.num_failed:
            said.append(
                f"The canary {result.name} went wrong in {result.num_failed} of {result.num_telling}: "
                "an honest slip, or a weakness that more of them would show."
            )
    return said


def _position_warnings(position: PositionFigures) -> list[str]:
    if position.why_none and position.first.num:
        return [f"How often the order decides is unknown: {position.why_none}."]
    flips = position.flips
    if flips.interval_95 is None or _inconsistency(position):
        return []
    if flips.interval_95[1] > _FLIPS and flips.num < _LEAST_VOTES:
        return [
            f"{counted(flips.num, 'comparison')} in both orders say little about how often the order decides."
        ]
    return []


def _length_warnings(figures: Figures) -> list[str]:
    length = figures.length
    interval = length.slope_interval_95
    if interval is None or interval[0] <= 0 <= interval[1] or _length(length, figures.canaries):
        return []
    kind = "longer" if interval[0] > 0 else "shorter"
    share = f"The {kind} an answer is, the more it is preferred{_slope(length)}."
    excess = length.excess
    if excess is None or excess.num < _LEAST_VOTES:
        return [
            f"{share} Whether that is bias, or the better answers are {kind}, cannot be told without votes."
        ]
    low, high = excess.interval_95
    if low <= 0 <= high:
        return [f"{share} {_others(excess).capitalize()} lean no other way, as far as is shown."]
    lean = "further" if (low > 0) == (kind == "longer") else "less"
    return [f"{share} It leans {lean} that way than {_others(excess)}, by little enough to be their noise."]


def _vote_warnings(kappa: Agreement) -> list[str]:
    if kappa.num_items == 0:
        return ["No votes on these comparisons: nothing shows that the judge shares your taste."]
    if kappa.value is None or kappa.interval_95 is None:
        return [f"Agreement with your votes is unknown: {kappa.reason}."]
    if _agreement(kappa) is None and (kappa.interval_95[0] <= 0 or kappa.num_items < _LEAST_VOTES):
        more = counted(kappa.num_items, "comparison")
        return [
            f"{more} with votes are too few to show that the judge shares your taste: vote on more of them."
        ]
    return []


def _leans_itself(excess: Excess, own: Rate, to_more: bool) -> bool:
    """Whether the leaning is the judge's: jurors may lean the other way, and votes are what counts."""
    low, high = own.interval_95 or (0.0, 1.0)
    return excess.against == "votes" or (low > 0.5 + _LEANING if to_more else high < 0.5 - _LEANING)


def _others(excess: Excess) -> str:
    return "your votes" if excess.against == "votes" else "the other jurors"


def _excess_evidence(excess: Excess, kind: str) -> str:
    low, high = excess.interval_95
    return (
        f"on {counted(excess.num, 'comparison')} it prefers {kind} in {percent(excess.judge_rate)}, "
        f"{_others(excess)} in {percent(excess.others_rate)}; it leans further that way in "
        f"{100 * excess.value:.0f} of 100 more than against it (95% interval {math.floor(100 * low)} to "
        f"{math.ceil(100 * high)})"
    )


def _opposite(excess: Excess) -> Excess:
    """The leaning to answers of the other kind."""
    low, high = excess.interval_95
    return replace(
        excess,
        value=-excess.value,
        interval_95=(-high, -low),
        judge_rate=1 - excess.judge_rate,
        others_rate=1 - excess.others_rate,
    )


def _turned(rate: Rate) -> Rate:
    if rate.value is None or rate.interval_95 is None:
        return rate
    low, high = rate.interval_95
    return Rate(1 - rate.value, (1 - high, 1 - low), rate.num)


def with_interval(rate: Rate) -> str:
    """`62% (95% interval 55% to 69%)`; the interval rounded outwards."""
    low, high = rate.interval_95 or (0.0, 1.0)
    interval = f"95% interval {math.floor(100 * low)}% to {math.ceil(100 * high)}%"
    return f"{percent(rate.value or 0.0)} ({interval})"


def _slope(length: LengthFigures) -> str:
    if length.slope is None or length.slope_interval_95 is None:
        return ""
    low, high = length.slope_interval_95
    return (
        f" (the log-odds move by {length.slope:.2f}, 95% interval {low:.2f} to {high:.2f}, for "
        f"{length.standard_deviation:.0f} characters more)"
    )


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 verdict`, `1,200 verdicts`."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"
