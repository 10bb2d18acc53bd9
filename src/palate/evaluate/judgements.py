"""Answers of several models to the same prompts as comparisons, and a judge's verdicts put back on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

from palate.evaluate.contestants import Answered
from palate.judge.sides import are_identical, label_of, names_of, pool_votes, score_of_a, side_of
from palate.records import Answer, Comparison, Message, Messages, Provenance, Verdict, Vote

__all__ = ["Contest", "JudgeKind", "Judgements", "contests_of", "rights_of", "to_judge"]

JudgeKind = Literal["scorer", "llm", "jury", "reward_model", "logprob", "votes"]

_SCORING: tuple[JudgeKind, ...] = ("scorer", "reward_model")
"""They give each answer a number, and are asked of equal answers too: the numbers are shown."""


@dataclass(frozen=True, slots=True)
class Contest:
    """One answer of one model beside one of another's to the same prompt."""

    against: str
    """The model whose answer is `a`."""
    of: str
    """The model whose answer is `b`."""
    place: int
    """Of the prompt."""
    sample: int
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Judgements:
    """What a judge said of comparisons, in any order and of either side."""

    judge: str
    kind: JudgeKind
    verdicts: tuple[Verdict, ...]
    card: Mapping[str, Any] | None = None
    """What is known of the judge; None for a program, and for people's own votes."""
    withheld_because: str = ""
    """Why its verdicts are not to be counted; empty where they are."""
    notes: tuple[str, ...] = ()
    """What became of evidence that was given and is not used."""
    _by_id: dict[str, Verdict] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._by_id.update({names_of(verdict.comparison).id: verdict for verdict in self.verdicts})

    def of(self, comparison: Comparison) -> Verdict | None:
        """The verdict on this comparison, its sides named as this one names them; None where it is missing.

        Equal answers that nobody was asked about are a tie.
        """
        found = self._by_id.get(names_of(comparison).id)
        if found is None and are_identical(comparison):
            return Verdict(comparison, self.judge, "tie", "the answers are the same")
        if found is None or found.preferred is None:
            return None
        preferred = side_of(comparison, label_of(found.comparison, found.preferred))
        return Verdict(comparison, self.judge, preferred, found.reason, detail=found.detail)

    def scores(self) -> dict[tuple[str, Messages], float]:
        """What each answer was given, by the prompt's id and the answer; empty where the judge gives none."""
        if self.kind not in _SCORING:
            return {}
        found: dict[tuple[str, Messages], float] = {}
        for verdict in self.verdicts:
            prompt = names_of(verdict.comparison).prompt_id
            sides = {"score_a": verdict.comparison.completion_a, "score_b": verdict.comparison.completion_b}
            for name, completion in sides.items():
                score = verdict.detail.get(name)
                if isinstance(score, float):
                    found[prompt, completion] = score
        return found


def contests_of(answered: Answered, source: str = "compare") -> list[Contest]:
    """Every two models' answers to every prompt, sample by sample; the earlier model's is `a`.

    `source` says in the provenance where they stand.
    """
    return [
        Contest(against, of, place, sample, _comparison(prompt, a, b, source, place))
        for against, of in combinations(answered.models, 2)
        for place, prompt in enumerate(answered.prompts)
        for sample, (a, b) in enumerate(
            zip(answered.answers[against][place], answered.answers[of][place], strict=True)
        )
    ]


def _comparison(prompt: Messages, a: Answer, b: Answer, source: str, place: int) -> Comparison:
    detail = {side: {"model": answer.model} for side, answer in (("a", a), ("b", b))}
    said = [(Message("assistant", answer.text),) for answer in (a, b)]
    return Comparison(prompt, said[0], said[1], Provenance(source, place + 1, detail))


def to_judge(contests: Sequence[Contest], kind: JudgeKind) -> list[Comparison]:
    """What a judge is asked: each content once, and equal answers only of one that scores each by itself."""
    distinct = {names_of(contest.comparison).id: contest.comparison for contest in reversed(contests)}
    ordered = list(distinct.values())[::-1]
    return [one for one in ordered if kind in _SCORING or not are_identical(one)]


def rights_of(judgements: Judgements, votes: Sequence[Vote]) -> list[tuple[float, str]]:
    """How right a judge is where people preferred a side, and the prompt's id: 1, 0, or 0.5 for a tie."""
    people = pool_votes(votes)
    found = []
    for verdict in judgements.verdicts:
        names = names_of(verdict.comparison)
        label = people.get(names.id)
        if label in (None, "tie") or verdict.preferred is None or are_identical(verdict.comparison):
            continue
        score = score_of_a(verdict.preferred)
        found.append((score if side_of(verdict.comparison, label) == "a" else 1 - score, names.prompt_id))
    return found
