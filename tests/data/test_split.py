"""Held-out prompts: the same ones in every run, and never on both sides."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.data import split_by_prompt
from palate.records import Labelled, Message, Pair, Provenance, Ranking


def pair(prompt: str, answer: str = "yes", system: str | None = None) -> Pair:
    before = () if system is None else (Message("system", system),)
    return Pair(
        (*before, Message("user", prompt)),
        (Message("assistant", answer),),
        (Message("assistant", "no"),),
        Provenance("test"),
    )


def prompts(pairs):
    return {p.prompt for p in pairs}


@given(st.lists(st.integers(0, 12), max_size=40), st.floats(0, 0.999))
def test_every_pair_once_no_prompt_twice_the_right_number(numbers, fraction):
    pairs = [pair(f"{n}?", f"yes {i}") for i, n in enumerate(numbers)]
    train, held_out = split_by_prompt(pairs, fraction)
    assert sorted(map(pairs.index, (*train, *held_out))) == list(range(len(pairs)))
    assert [*train] == [p for p in pairs if p in train]
    assert [*held_out] == [p for p in pairs if p in held_out]
    assert not prompts(train) & prompts(held_out)
    num_prompts = len(prompts(pairs))
    if fraction == 0 or num_prompts < 2:
        assert held_out == ()
    else:
        assert len(prompts(held_out)) == min(max(1, round(fraction * num_prompts)), num_prompts - 1)


def test_order_does_not_decide():
    pairs = [pair(f"{i}?") for i in range(50)]
    shuffled = random.Random(1).sample(pairs, len(pairs))
    assert prompts(split_by_prompt(pairs, 0.2)[1]) == prompts(split_by_prompt(shuffled, 0.2)[1])


def test_the_prompts_do_not_decide_by_their_look():
    train, held_out = split_by_prompt([pair(f"{i:03}?") for i in range(400)], 0.5)
    first_half = {p.prompt for p in train if p.prompt[0].content < "200?"}
    assert 70 <= len(first_half) <= 130
    assert len(held_out) == 200


def test_the_held_out_prompts_are_known():
    # A change here changes what every earlier run is compared on.
    _, held_out = split_by_prompt([pair(f"{i}?") for i in range(20)], 0.1)
    assert [p.prompt[0].content for p in held_out] == ["5?", "12?"]


def test_more_data_keeps_held_out_prompts_apart_from_chance():
    small = prompts(split_by_prompt([pair(f"{i}?") for i in range(100)], 0.2)[1])
    large = prompts(split_by_prompt([pair(f"{i}?") for i in range(110)], 0.2)[1])
    assert len(small & large) >= 16


def test_a_system_message_changes_no_split():
    def held_out(system):
        found = split_by_prompt([pair(f"{i}?", system=system) for i in range(50)], 0.2)[1]
        return [p.prompt[-1].content for p in found]

    assert held_out("Be brief.") == held_out(None)


def test_one_prompt_stays_in_training():
    assert [len(side) for side in split_by_prompt([pair("1?"), pair("2?")], 0.99)] == [1, 1]


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_fractions_that_are_none(fraction):
    with pytest.raises(ValueError, match="fraction"):
        split_by_prompt([pair("1?")], fraction)


def test_labels_and_rankings_are_split_as_pairs_of_the_same_prompts_are():
    pairs = [pair(f"{i // 2}?", f"yes {i}") for i in range(60)]
    labels = [Labelled(p.prompt, p.chosen, True, p.provenance) for p in pairs]
    rankings = [Ranking(p.prompt, (p.chosen, p.rejected), p.provenance) for p in pairs]
    held_out = [split_by_prompt(records, 0.3)[1] for records in (pairs, labels, rankings)]
    assert [len(side) for side in held_out] == [18, 18, 18]
    assert prompts(held_out[0]) == prompts(held_out[1]) == prompts(held_out[2])
