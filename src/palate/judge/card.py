"""The judge card: what a judge said, how far that can be relied on, and the headline if it can.

Every judging run writes one. The same verdicts, votes and seed give the same card, byte for byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from palate.judge.bias import length_figures, position_figures
from palate.judge.canaries import CanaryResult, results_of_jurors
from palate.judge.card_sentences import sentences_of
from palate.judge.families import family_figures
from palate.judge.findings import Figures, Finding, findings_of, warnings_of
from palate.judge.headline import Headline, headline_of
from palate.judge.judging import Judge
from palate.judge.jury import jurors_of, problems_of
from palate.judge.sides import Label, are_identical, label_of, most, names_of, pool_votes
from palate.records import Verdict, Vote
from palate.statistics.agreement import Agreement, cohens_kappa, krippendorff_alpha

__all__ = ["JudgeCard", "judge_card"]


@dataclass(frozen=True, slots=True)
class JudgeCard:
    """All that a run knows of its judge. `as_dict` holds the names that scripts rely on."""

    judge: str
    models: tuple[str, ...]
    figures: Figures
    missing_reasons: Mapping[str, int]
    """Verdicts that are missing, by the kind of problem."""
    num_distinct: int
    """Comparisons that differ in content."""
    alpha: Agreement | None
    """Krippendorff's, among jurors; None for one judge."""
    headline: Headline | None
    """None where it is withheld, and on a juror's card."""
    withheld_because: str
    forced: bool
    """A canary failed, and the headline stands by the user's wish."""
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    judges: tuple[JudgeCard, ...]
    """The jurors' own cards."""

    @property
    def trusted(self) -> bool:
        """No defect was found, and canaries passed. Few comparisons find few defects: no proof of worth."""
        asked = [r for r in self.figures.canaries if r.num_asked and (r.num_telling or not r.num_forced)]
        return not self.findings and bool(asked) and all(result.passed for result in asked)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The card in plain words, the most important first."""
        opening = self.headline.sentence if self.headline else self.withheld_because
        return sentences_of(opening, self.figures, self.missing_reasons, self.alpha)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, in a fixed order: what `judge_card.json` holds."""
        figures = self.figures
        return {
            "judge": self.judge,
            "models": list(self.models),
            "trusted": self.trusted,
            "headline": self.headline.as_dict() if self.headline else None,
            "withheld_because": self.withheld_because or None,
            "forced": self.forced,
            "num_asked": figures.num_asked,
            "num_given": figures.num_given,
            "num_missing": figures.num_asked - figures.num_given,
            "num_distinct": self.num_distinct,
            "missing_reasons": dict(self.missing_reasons),
            **_position_dict(figures),
            **_length_dict(figures),
            **_family_dict(figures),
            "canaries": {result.name: result.as_dict() for result in figures.canaries},
            "kappa": figures.kappa.value,
            "kappa_interval_95": _listed(figures.kappa.interval_95),
            "num_common": figures.kappa.num_items,
            "observed_agreement": figures.kappa.observed,
            "kappa_reason": figures.kappa.reason or None,
            "krippendorff_alpha": self.alpha.value if self.alpha else None,
            "krippendorff_alpha_interval_95": _listed(self.alpha.interval_95) if self.alpha else None,
            "krippendorff_alpha_reason": self.alpha.reason or None if self.alpha else "there is one judge",
            "findings": [finding.as_dict() for finding in self.findings],
            "warnings": list(self.warnings),
            "sentences": list(self.sentences),
            "judges": [card.as_dict() for card in self.judges],
        }


def judge_card(
    verdicts: Sequence[Verdict],
    canaries: Sequence[CanaryResult],
    *,
    votes: Sequence[Vote],
    judge: Judge,
    seed: int,
    force: bool = False,
) -> JudgeCard:
    """The card of a run.

    Args:
        verdicts: one for each comparison that was judged, the missing ones too.
        canaries: from `run_canaries`, of the same judge.
        votes: the user's own, on any of these comparisons; none will do.
        judge: the one that gave the verdicts: its name, and the models by which its family is known.
        seed: of the intervals that are bootstrapped.
        force: give the headline even though a canary failed.
    """
    people = pool_votes(votes)
    jurors = _jurors(verdicts)
    of_jurors = results_of_jurors(canaries)
    failed = [result.name for result in canaries if result.passed is False]
    because = "" if force or not failed else _withheld(judge.name, failed)
    card = _card(judge.name, judge.models, verdicts, canaries, people, None, seed)
    cards = tuple(
        _card(name, models, own, of_jurors.get(name, ()), people, _others(name, jurors), seed)
        for name, (models, own) in jurors.items()
    )
    return replace(
        card,
        alpha=_alpha(jurors, seed) if jurors else None,
        headline=None if because else headline_of(verdicts, seed),
        withheld_because=because,
        forced=force and bool(failed),
        warnings=(*card.warnings, *_about_jurors(cards)),
        judges=cards,
    )


_Jurors = Mapping[str, tuple[tuple[str, ...], Sequence[Verdict]]]
"""By name: what each asks, and its verdicts in the order of the comparisons."""


def _card(
    name: str,
    models: Sequence[str],
    verdicts: Sequence[Verdict],
    canaries: Sequence[CanaryResult],
    people: Mapping[str, Label],
    jurors: Mapping[str, Label] | None,
    seed: int,
) -> JudgeCard:
    """A card without a headline; a judge is held against people where they voted, else against jurors."""
    others, against = (people, "votes") if people or not jurors else (jurors, "jurors")
    problems = Counter(_problem(verdict) for verdict in verdicts if verdict.preferred is None)
    looked = [own for verdict in verdicts for own, _ in jurors_of(verdict)] or verdicts
    figures = Figures(
        num_asked=len(verdicts),
        num_given=sum(verdict.preferred is not None for verdict in verdicts),
        num_not_asked=problems.get("not_asked", 0),
        position=position_figures(looked),
        length=length_figures(verdicts, others, against),
        family=family_figures(verdicts, models, others, against),
        kappa=_kappa(verdicts, people, seed),
        canaries=tuple(canaries),
    )
    return JudgeCard(
        judge=name,
        models=tuple(models),
        figures=figures,
        missing_reasons=dict(sorted(problems.items(), key=lambda item: (-item[1], item[0]))),
        num_distinct=len({names_of(verdict.comparison).id for verdict in verdicts}),
        alpha=None,
        headline=None,
        withheld_because="",
        forced=False,
        findings=tuple(findings_of(figures)),
        warnings=tuple(warnings_of(figures)),
        judges=(),
    )


def _problem(verdict: Verdict) -> str:
    """The kind of problem that a missing verdict is counted as: never asked for, or the first by name."""
    problems = problems_of(verdict)
    if "not_asked" in problems:
        return "not_asked"
    if jurors_of(verdict):
        return str(verdict.detail.get("problem") or "no_quorum")
    return problems[0] if problems else "no_score"


def _kappa(verdicts: Sequence[Verdict], people: Mapping[str, Label], seed: int) -> Agreement:
    own: list[Label] = []
    theirs: list[Label] = []
    prompts: list[str] = []
    for verdict in verdicts:
        label = people.get(names_of(verdict.comparison).id)
        if label is not None and verdict.preferred is not None:
            own.append(label_of(verdict.comparison, verdict.preferred))
            theirs.append(label)
            prompts.append(names_of(verdict.comparison).prompt_id)
    return cohens_kappa(own, theirs, clusters=prompts, seed=seed)


def _jurors(verdicts: Sequence[Verdict]) -> _Jurors:
    models: dict[str, tuple[str, ...]] = {}
    own: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        for given, asked in jurors_of(verdict):
            models.setdefault(given.judge, asked)
            own.setdefault(given.judge, []).append(given)
    return {name: (models[name], own[name]) for name in own}


def _others(name: str, jurors: _Jurors) -> dict[str, Label]:
    """What most of the other jurors say, where there are two or more: of two, nothing tells who is right."""
    labels: dict[str, list[Label]] = {}
    for other, (_, verdicts) in jurors.items():
        for verdict in verdicts:
            if other != name and verdict.preferred is not None and not are_identical(verdict.comparison):
                label = label_of(verdict.comparison, verdict.preferred)
                labels.setdefault(names_of(verdict.comparison).id, []).append(label)
    return {comparison: most(of_one) for comparison, of_one in labels.items() if len(of_one) > 1}


def _alpha(jurors: _Jurors, seed: int) -> Agreement:
    ratings: dict[Hashable, dict[Hashable, Hashable]] = {}
    clusters: dict[Hashable, Hashable] = {}
    for name, (_, verdicts) in jurors.items():
        ratings[name] = {}
        for item, verdict in enumerate(verdicts):
            clusters[item] = names_of(verdict.comparison).prompt_id
            if verdict.preferred is not None and not are_identical(verdict.comparison):
                ratings[name][item] = label_of(verdict.comparison, verdict.preferred)
    return krippendorff_alpha(ratings, clusters=clusters, seed=seed)


def _about_jurors(cards: Sequence[JudgeCard]) -> list[str]:
    return [
        f"Juror {card.judge}: {', '.join(finding.name for finding in card.findings)}. See its own card."
        for card in cards
        if card.findings
    ]


def _withheld(judge: str, failed: Sequence[str]) -> str:
    canaries = f"the canary {failed[0]}" if len(failed) == 1 else f"the canaries {', '.join(failed)}"
    return f"The headline is withheld: {judge} failed {canaries}, so that what it prefers says nothing yet."


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _position_dict(figures: Figures) -> dict[str, Any]:
    position = figures.position
    first = position.first.value
    return {
        "position_flip_rate": position.flips.value,
        "position_flip_interval_95": _listed(position.flips.interval_95),
        "position_flip_reason": position.why_none or None,
        "num_both_orders": position.flips.num,
        "num_flips": position.num_flips,
        "num_flips_to_first": position.num_flips_to_first,
        "num_half_flips": position.num_half_flips,
        "win_rate_by_position": {
            "first": first,
            "second": None if first is None else 1 - first,
            "first_interval_95": _listed(position.first.interval_95),
            "num_calls": position.first.num,
            "num_first": position.num_first,
            "num_second": position.num_second,
            "num_ties": position.num_ties,
        },
    }


def _length_dict(figures: Figures) -> dict[str, Any]:
    length = figures.length
    return {
        "length_slope": length.slope,
        "length_slope_interval_95": _listed(length.slope_interval_95),
        "length_slope_p": length.slope_p,
        "length_standard_deviation_characters": length.standard_deviation,
        "length_slope_notes": list(length.notes),
        "length_slope_of_others": length.others_slope,
        "longer_win_rate": length.longer.value,
        "longer_win_rate_interval_95": _listed(length.longer.interval_95),
        "num_unequal_lengths": length.longer.num,
        "length_excess": length.excess.as_dict() if length.excess else None,
    }


def _family_dict(figures: Figures) -> dict[str, Any]:
    family = figures.family
    return {
        "family_preference": family.preference.value,
        "family_preference_interval_95": _listed(family.preference.interval_95),
        "family_preference_reason": family.why_none or None,
        "own_families": list(family.own_families),
        "num_own_against_others": family.preference.num,
        "family_excess": family.excess.as_dict() if family.excess else None,
    }
