"""Examples from the user's votes: few, balanced, the same every time, and never the answer itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Literal

import pytest
from judging_scene import comparisons

from palate.errors import JudgeError
from palate.judge.examples import as_examples, choose_examples
from palate.records import Vote

SCENE = comparisons(30)
Said = Literal["a", "b", "tie", "both_bad"]


def votes(*preferred: Said, annotator: str = "mei") -> list[Vote]:
    return [Vote(comparison, annotator, said) for comparison, said in zip(SCENE, preferred, strict=False)]


MANY = votes(*(["a"] * 20 + ["tie"] * 5 + ["b"] * 5))


def test_of_three_one_is_a_tie_and_the_preferred_side_stands_first_every_second_time() -> None:
    chosen = choose_examples(MANY, 6)
    shown = [example["preferred"] for _, example in as_examples(chosen)]
    assert Counter(shown) == {"first": 2, "second": 2, "tie": 2}


def test_votes_that_always_prefer_a_are_shown_on_both_sides() -> None:
    examples = [example for _, example in as_examples(votes(*(["a"] * 4)))]
    assert [example["preferred"] for example in examples] == ["first", "second", "first", "second"]
    for example, comparison in zip(examples, SCENE, strict=False):
        assert example[example["preferred"]] == comparison.completion_a[0].content
        assert {example["first"], example["second"]} == {
            comparison.completion_a[0].content,
            comparison.completion_b[0].content,
        }


def test_a_note_is_shown_where_there_is_one() -> None:
    with_note = replace(votes("b")[0], note=" Warmer. ")
    [(prompt_id, example)] = as_examples([with_note])
    assert prompt_id == SCENE[0].prompt_id
    assert example["note"] == "Warmer."
    assert "note" not in as_examples(votes("b"))[0][1]


def test_the_choice_depends_on_the_seed_and_not_on_the_order_of_the_votes() -> None:
    chosen = choose_examples(MANY, 9, seed=3)
    assert choose_examples(MANY[::-1], 9, seed=3) == chosen
    assert choose_examples(MANY, 9, seed=4) != chosen
    assert choose_examples(MANY, 12, seed=3)[:9] == chosen


def test_what_people_disagree_about_is_no_example() -> None:
    disputed = [*votes("a", "a"), *votes("a", "b", annotator="ines")]
    assert [vote.comparison for vote in choose_examples(disputed, 1)] == [SCENE[0]]
    with pytest.raises(JudgeError, match="2 examples were asked for, and the votes give 1"):
        choose_examples(disputed, 2)


def test_the_same_preference_with_the_sides_turned_round_is_no_disagreement() -> None:
    turned = replace(SCENE[0], completion_a=SCENE[0].completion_b, completion_b=SCENE[0].completion_a)
    assert len(choose_examples([*votes("a"), Vote(turned, "ines", "b")], 1)) == 1


def test_both_bad_and_unwanted_ties_are_no_examples() -> None:
    cast = votes("both_bad", "tie", "a")
    assert [vote.preferred for vote in choose_examples(cast, 1, allow_ties=False)] == ["a"]
    with pytest.raises(JudgeError, match="the votes give 2"):
        choose_examples(cast, 3)
    with pytest.raises(JudgeError, match="no example of which is better"):
        as_examples(cast)


def test_each_example_has_a_prompt_of_its_own() -> None:
    again = replace(SCENE[0], completion_b=SCENE[1].completion_b)
    with pytest.raises(JudgeError, match="the votes give 1"):
        choose_examples([*votes("a"), Vote(again, "mei", "a")], 2)


def test_no_examples_are_not_asked_for_by_a_number() -> None:
    with pytest.raises(JudgeError, match="0 examples"):
        choose_examples(MANY, 0)
