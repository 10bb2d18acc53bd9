"""The judge card in plain words. A sentence never says more than its interval allows."""

from __future__ import annotations

from collections.abc import Mapping

from palate.judge.findings import Figures, counted, percent, with_interval
from palate.statistics.agreement import Agreement

__all__ = ["sentences_of"]


def sentences_of(
    opening: str, figures: Figures, missing_reasons: Mapping[str, int], alpha: Agreement | None
) -> tuple[str, ...]:
    """What the figures say, one sentence for each; nothing about what there is no figure of.

    Args:
        opening: the headline's sentence, or why there is none; empty on a juror's card.
        figures: the judge's.
        missing_reasons: how many verdicts are missing, by kind.
        alpha: agreement among jurors.
    """
    said = [
        opening,
        _asked(figures, missing_reasons),
        _canaries(figures),
        _position(figures),
        _length(figures),
        _family(figures),
        _votes(figures.kappa),
        _among_jurors(alpha),
    ]
    return tuple(sentence for sentence in said if sentence)


def _asked(figures: Figures, missing_reasons: Mapping[str, int]) -> str:
    given = f"It gave {figures.num_given:,} of {counted(figures.num_asked, 'verdict')}"
    reasons = ", ".join(f"{number} {kind}" for kind, number in missing_reasons.items())
    return f"{given}; missing: {reasons}." if reasons else f"{given}."


def _canaries(figures: Figures) -> str:
    asked = [result for result in figures.canaries if result.num_asked]
    if not asked:
        return ""
    failed = [result for result in asked if result.passed is False]
    num_passed = sum(result.passed is True for result in asked)
    head = f"It passed {num_passed} of {counted(len(asked), 'canary', 'canaries')}"
    num_forced = sum(result.passed is None and result.num_forced > 0 for result in asked)
    if num_forced:
        head += f", had to choose in {num_forced}"
    num_unknown = len(asked) - num_passed - len(failed) - num_forced
    if num_unknown:
        head += f", gave no verdict on {num_unknown}"
    names = ", ".join(
        f"{result.name} ({result.num_failed} of {result.num_telling} wrong)" for result in failed
    )
    return f"{head}, and failed {names}." if failed else f"{head}."


def _position(figures: Figures) -> str:
    position = figures.position
    first = position.first
    if not position.flips.num:
        if not first.num:
            return ""
        return (
            f"The answer shown first is preferred in {with_interval(first)} of {counted(first.num, 'look')}."
        )
    flips = (
        f"{with_interval(position.flips)} of {counted(position.flips.num, 'verdict')} in both orders flipped"
    )
    return f"{flips}, and count as ties; the one shown first is preferred in {with_interval(first)} of looks."


def _length(figures: Figures) -> str:
    length = figures.length
    if not length.longer.num:
        return ""
    num = counted(length.longer.num, "comparison")
    preferred = f"The longer answer is preferred in {with_interval(length.longer)} of {num}"
    if length.slope is None or length.slope_interval_95 is None:
        return f"{preferred}."
    low, high = length.slope_interval_95
    shown = "" if low > 0 or high < 0 else ": no effect of length is shown"
    return (
        f"{preferred}; the log-odds move by {length.slope:.2f} (95% interval {low:.2f} to {high:.2f}) for "
        f"{length.standard_deviation:,.0f} characters of difference{shown}."
    )


def _family(figures: Figures) -> str:
    family = figures.family
    if family.preference.value is None:
        return ""
    own = " and ".join(family.own_families)
    sentence = (
        f"Its own family ({own}) wins {with_interval(family.preference)} of "
        f"{counted(family.preference.num, 'comparison')} with others"
    )
    excess = family.excess
    if excess is None:
        return f"{sentence}."
    others = "your votes" if excess.against == "votes" else "the other jurors"
    by_each = f"{percent(excess.judge_rate)} by it and {percent(excess.others_rate)} by {others}"
    return f"{sentence}; where both judged, {by_each}."


def _votes(kappa: Agreement) -> str:
    if kappa.value is None or kappa.observed is None:
        return ""
    sentence = (
        f"It agrees with your votes on {percent(kappa.observed)} of {counted(kappa.num_items, 'comparison')}"
    )
    if kappa.interval_95 is None:
        return f"{sentence} (kappa {kappa.value:.2f}, no interval: {kappa.reason})."
    low, high = kappa.interval_95
    beyond = "" if low > 0 else ": no agreement beyond chance is shown"
    return f"{sentence} (kappa {kappa.value:.2f}, 95% interval {low:.2f} to {high:.2f}){beyond}."


def _among_jurors(alpha: Agreement | None) -> str:
    if alpha is None or alpha.value is None:
        return ""
    figure = f"Krippendorff's alpha among the jurors is {alpha.value:.2f}"
    if alpha.interval_95 is None:
        return f"{figure}."
    low, high = alpha.interval_95
    beyond = "" if low > 0 else ": no agreement beyond chance is shown"
    return f"{figure} (95% interval {low:.2f} to {high:.2f}){beyond}."
