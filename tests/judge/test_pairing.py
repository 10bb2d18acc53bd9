"""Pairs from scored candidates: none invented, none doubled, every answer accounted for."""

from __future__ import annotations

import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.judge import pairs_from_scores
from palate.records import Answer, Message, Messages

A: Messages = (Message("user", "a?"),)
B: Messages = (Message("user", "b?"),)


def number_in(prompt: Messages, answer: str) -> float:
    """The taste of these tests: an answer is as good as the number it says; "x" is beyond it."""
    return float(answer.split()[0])


def answers(prompt: Messages, *texts: str, model: str = "m") -> list[Answer]:
    return [Answer(prompt, text, model) for text in texts]


def test_all_pairs_of_one_prompt_by_hand() -> None:
    """Scores 3, 1, 2: the better-worse pairs are 3>1, 3>2, 2>1."""
    judged = pairs_from_scores(answers(A, "3", "1", "2"), number_in, "number")
    assert [(p.chosen[0].content, p.rejected[0].content) for p in judged.pairs] == [
        ("3", "1"),
        ("3", "2"),
        ("2", "1"),
    ]
    assert all(p.prompt == A and p.chosen[0].role == "assistant" for p in judged.pairs)
    assert judged.counts.num_pairs == 3
    assert judged.counts.num_prompts_without_pairs == 0


def test_best_and_worst_by_hand() -> None:
    judged = pairs_from_scores(
        answers(A, "3", "1", "2") + answers(B, "5", "5 too"), number_in, "number", combine="best_worst"
    )
    assert [(p.chosen[0].content, p.rejected[0].content) for p in judged.pairs] == [("3", "1")]
    assert judged.counts.num_ties == 1
    assert judged.counts.num_prompts_without_pairs == 1


def test_every_answer_is_accounted_for() -> None:
    """a: "1" twice and "1 again" tie, "x" has no score, "2" beats both. b: one answer, nothing to compare."""
    material = answers(A, "1", "1", "x", "2", "1 again") + answers(B, "7")
    counts = pairs_from_scores(material, number_in, "number").counts
    assert (counts.num_prompts, counts.num_answers) == (2, 6)
    assert (counts.num_duplicates, counts.num_missing) == (1, 1)
    assert (counts.num_pairs, counts.num_ties) == (2, 1)
    assert counts.num_prompts_without_pairs == 1
    ((reason, times),) = counts.missing_reasons.items()
    assert (reason, times) == ("the scorer failed: ValueError: could not convert string to float: 'x'", 1)


def test_provenance_names_judge_scores_and_generators() -> None:
    material = [Answer(A, "1", "weak", finished=False), Answer(A, "2", "strong")]
    (pair,) = pairs_from_scores(material, number_in, "number").pairs
    assert pair.provenance.detail == {
        "judge": "number",
        "chosen_score": 2.0,
        "rejected_score": 1.0,
        "chosen_generator": "strong",
        "rejected_generator": "weak",
        "chosen_finished": True,
        "rejected_finished": False,
    }


def test_prompts_may_come_mixed() -> None:
    mixed = [*answers(A, "1"), *answers(B, "1"), *answers(A, "2"), *answers(B, "0")]
    judged = pairs_from_scores(mixed, number_in, "number")
    assert [(p.prompt, p.chosen[0].content) for p in judged.pairs] == [(A, "2"), (B, "1")]


def test_a_judge_that_always_fails_makes_no_pairs() -> None:
    judged = pairs_from_scores(answers(A, "x", "y"), lambda prompt, answer: math.nan, "broken")
    assert judged.pairs == ()
    assert judged.counts.num_missing == 2


@pytest.mark.parametrize("combine", ["all", "best_worst"])
@given(
    st.lists(
        st.tuples(st.sampled_from([A, B]), st.integers(0, 4), st.sampled_from(["", " a", " b"])), max_size=14
    )
)
def test_counts_add_up_and_no_pair_is_wrong(
    combine: Literal["all", "best_worst"], rows: list[tuple[Messages, int, str]]
) -> None:
    def moody(prompt: Messages, answer: str) -> float:
        value = number_in(prompt, answer)
        return math.nan if value == 0 else value

    material = [Answer(prompt, f"{score}{tail}", "m") for prompt, score, tail in rows]
    judged = pairs_from_scores(material, moody, "moody", combine=combine)
    counts = judged.counts
    distinct = {(answer.prompt, answer.text) for answer in material}
    usable = [key for key in distinct if not key[1].startswith("0")]
    assert counts.num_duplicates == len(material) - len(distinct)
    assert counts.num_missing == len(distinct) - len(usable)
    sizes = [sum(key[0] == prompt for key in usable) for prompt in (A, B)]
    comparisons = sum(n * (n - 1) // 2 if combine == "all" else n > 1 for n in sizes)
    assert counts.num_pairs + counts.num_ties == comparisons
    assert counts.num_pairs == len(judged.pairs) == len({pair.id for pair in judged.pairs})
    for pair in judged.pairs:
        better, worse = pair.chosen[0].content, pair.rejected[0].content
        assert moody(pair.prompt, better) > moody(pair.prompt, worse)
        assert {(pair.prompt, better), (pair.prompt, worse)} <= distinct
