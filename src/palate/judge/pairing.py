"""Preference pairs from candidate answers and a scorer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from palate.judge.scoring import Scorer, score_answer
from palate.records import Answer, Message, Messages, Pair, Provenance

__all__ = ["JudgedPairs", "PairCounts", "pairs_from_scores"]


@dataclass(frozen=True, slots=True)
class PairCounts:
    """What became of every answer and every comparison.

    num_answers = scored ones + num_duplicates + num_missing, and the comparisons made = num_pairs + num_ties.
    """

    num_prompts: int
    num_answers: int
    num_duplicates: int
    """Answers with the text of an earlier one to the same prompt: they say nothing new."""
    num_missing: int
    """Answers the scorer gave no usable number for: never paired, never counted as bad."""
    num_ties: int
    """Comparisons of equal scores: no preference, so no pair."""
    num_pairs: int
    num_prompts_without_pairs: int
    """Prompts that taught nothing: too few scored answers, or all of them tied."""
    missing_reasons: Mapping[str, int] = field(default_factory=dict)
    """Why scores are missing, and how often each."""


@dataclass(frozen=True, slots=True)
class JudgedPairs:
    """Preference pairs and the account of how they came about."""

    pairs: tuple[Pair, ...]
    counts: PairCounts


@dataclass(frozen=True, slots=True)
class _Scored:
    answer: Answer
    score: float


def pairs_from_scores(
    answers: Iterable[Answer],
    scorer: Scorer,
    spec: str,
    *,
    combine: Literal["all", "best_worst"] = "all",
) -> JudgedPairs:
    """Score candidate answers and make pairs of those to the same prompt.

    Args:
        answers: candidates, of any number of prompts, in any order.
        scorer: from `load_scorer`.
        spec: its name, kept in every pair's provenance beside both scores and both generators.
        combine: `all` makes a pair of every better and worse answer (n answers give up to n(n-1)/2 pairs,
            which share their tokens in training); `best_worst` one pair a prompt, of the highest and the
            lowest score.

    Returns:
        Pairs in the order of the prompts' first answers. No two have the same content.
    """
    by_prompt: dict[Messages, dict[str, Answer]] = {}
    num_answers = num_duplicates = 0
    for answer in answers:
        num_answers += 1
        candidates = by_prompt.setdefault(answer.prompt, {})
        num_duplicates += answer.text in candidates
        candidates.setdefault(answer.text, answer)

    problems: Counter[str] = Counter()
    pairs: list[Pair] = []
    num_ties = num_without = 0
    for prompt, candidates in by_prompt.items():
        scored: list[_Scored] = []
        for answer in candidates.values():
            score = score_answer(scorer, prompt, answer.text)
            if score.value is None:
                problems[score.problem] += 1
            else:
                scored.append(_Scored(answer, score.value))
        compared = [_better_first(x, y) for x, y in _comparisons(scored, combine)]
        made = [_pair(better, worse, spec) for better, worse in compared if better.score > worse.score]
        num_ties += len(compared) - len(made)
        num_without += not made
        pairs += made

    counts = PairCounts(
        num_prompts=len(by_prompt),
        num_answers=num_answers,
        num_duplicates=num_duplicates,
        num_missing=problems.total(),
        num_ties=num_ties,
        num_pairs=len(pairs),
        num_prompts_without_pairs=num_without,
        missing_reasons=dict(problems.most_common()),
    )
    return JudgedPairs(tuple(pairs), counts)


def _comparisons(
    scored: Sequence[_Scored], combine: Literal["all", "best_worst"]
) -> list[tuple[_Scored, _Scored]]:
    if len(scored) < 2:
        return []
    if combine == "all":
        return list(combinations(scored, 2))
    return [(max(scored, key=_score_of), min(scored, key=_score_of))]


def _score_of(item: _Scored) -> float:
    return item.score


def _better_first(x: _Scored, y: _Scored) -> tuple[_Scored, _Scored]:
    return (x, y) if x.score >= y.score else (y, x)


def _pair(better: _Scored, worse: _Scored, spec: str) -> Pair:
    detail = {
        "judge": spec,
        "chosen_score": better.score,
        "rejected_score": worse.score,
        "chosen_generator": better.answer.model,
        "rejected_generator": worse.answer.model,
        "chosen_finished": better.answer.finished,
        "rejected_finished": worse.answer.finished,
    }
    return Pair(
        prompt=better.answer.prompt,
        chosen=(Message("assistant", better.answer.text),),
        rejected=(Message("assistant", worse.answer.text),),
        provenance=Provenance(source="generated", detail=detail),
    )
