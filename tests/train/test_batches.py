"""Which pairs make up each step, and how a step is cut into rows."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.engine import Branch
from palate.engine.tree import count_nodes
from palate.recipe import TrainOptions
from palate.records import Message, Pair, Provenance
from palate.train import Example
from palate.train.batches import BatchPlan, RowCost, cut_into_rows, plan_batches, share_of
from palate.train.examples import Examples


def branch(prompt: list[int], completion: list[int]) -> Branch:
    ids = np.array([*prompt, *completion], np.int64)
    return Branch(ids, np.arange(len(ids)) >= len(prompt))


def example(prompt: int, number: int) -> Example:
    made = Pair((Message("user", str(prompt)),), (), (), Provenance("made up", number))
    begin = [1, 10 + prompt]
    return Example.of(made, (branch(begin, [3, 50 + number]), branch(begin, [4, 50 + number])))


EXAMPLES = [example(prompt, 10 * prompt + n) for prompt in range(7) for n in range(3)]  # 21 of 7 prompts


def keys(plan: BatchPlan) -> list[list[str]]:
    return [[e.key for e in plan.batch(step)] for step in range(plan.num_steps)]


def plan(seed: int = 0, examples: list[Example] = EXAMPLES, **options: object) -> BatchPlan:
    return plan_batches(examples, TrainOptions.model_validate({"batch_size": 4, **options}), seed)


@pytest.mark.parametrize("group", [False, True])
def test_every_example_exactly_once_an_epoch(group: bool) -> None:
    made = plan(epochs=2, group_by_prompt=group)
    assert (made.num_steps, made.steps_per_epoch) == (12, 6)
    steps = keys(made)
    assert [len(step) for step in steps] == [4, 4, 4, 4, 4, 1] * 2
    for epoch in (steps[:6], steps[6:]):
        assert Counter(k for step in epoch for k in step) == Counter(e.key for e in EXAMPLES)
    assert steps[:6] != steps[6:]


@pytest.mark.parametrize("options", [{}, {"group_by_prompt": True}, {"max_steps": 2}], ids=str)
def test_the_files_order_does_not_matter(options: dict[str, object]) -> None:
    shuffled = EXAMPLES.copy()
    random.Random(0).shuffle(shuffled)
    assert keys(plan(**options)) == keys(plan(examples=shuffled, **options))


def test_the_seed_decides_the_order() -> None:
    assert keys(plan(3)) == keys(plan(3))
    assert keys(plan(3)) != keys(plan(4))


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("options", [{"max_steps": 2}, {"epochs": 0.3}], ids=str)
def test_a_short_run_visits_the_same_pairs_whatever_the_seed(options: dict[str, object], group: bool) -> None:
    visited = [
        sorted(k for step in keys(plan(seed, group_by_prompt=group, **options)) for k in step)
        for seed in (0, 1)
    ]
    assert visited[0] == visited[1]
    assert len(visited[0]) == len(set(visited[0])) == 8
    assert keys(plan(0, **options)) != keys(plan(1, **options))


def test_a_short_run_is_a_part_of_an_epoch() -> None:
    made = plan(epochs=0.3)
    assert made.num_steps == 2
    assert made.epoch_of(made.num_steps) == pytest.approx(8 / 21)
    assert plan(epochs=2).epoch_of(12) == 2
    assert plan(epochs=2, max_steps=9).epoch_of(9) == 1.5


def test_steps_are_never_none() -> None:
    """A batch larger than the data, a sliver of an epoch, one pair alone."""
    assert keys(plan(batch_size=100)) == [[e.key for e in plan(batch_size=100).batch(0)]]
    assert len(plan(batch_size=100).batch(0)) == 21
    assert plan(epochs=0.001).num_steps == 1
    assert [len(step) for step in keys(plan(examples=EXAMPLES[:1], epochs=3))] == [1, 1, 1]


def test_grouping_puts_pairs_of_a_prompt_together() -> None:
    order = [e.prompt_id for step in range(6) for e in plan(group_by_prompt=True).batch(step)]
    changes = sum(a != b for a, b in pairwise(order))
    assert changes == 6
    assert sum(a != b for a, b in pairwise([e.prompt_id for s in range(6) for e in plan().batch(s)])) > 6


def test_a_short_grouped_run_takes_whole_prompts() -> None:
    counts = Counter(
        e.prompt_id for step in range(3) for e in plan(group_by_prompt=True, max_steps=3).batch(step)
    )
    assert sorted(counts.values()) == [3, 3, 3, 3]


tokens = st.lists(st.integers(0, 3), min_size=1, max_size=12)
unit = st.tuples(tokens, tokens, tokens).map(lambda t: (branch([5, *t[0]], t[1]), branch([5, *t[0]], t[2])))
costs = st.builds(
    RowCost,
    overhead=st.floats(0, 50),
    square=st.one_of(st.floats(1, 1000), st.just(math.inf)),
    max_tokens=st.integers(1, 80),
)


@given(st.lists(unit, min_size=1, max_size=12), costs, st.booleans())
def test_rows_are_a_partition_that_fits_and_pays(
    units: list[tuple[Branch, Branch]], cost: RowCost, share: bool
) -> None:
    def num_tokens(row: list[int]) -> int:
        branches = [b for i in row for b in units[i]]
        return count_nodes(branches) if share else len(branches) * max(map(len, branches))

    rows = cut_into_rows(units, cost, share=share)
    assert sorted(i for row in rows for i in row) == list(range(len(units)))
    for row in rows:
        assert len(row) == 1 or num_tokens(row) <= cost.max_tokens
    together = sum(cost.of(num_tokens(row)) for row in rows)
    apart = sum(cost.of(num_tokens([i])) for i in range(len(units)))
    assert together <= apart * (1 + 1e-9)


@given(st.lists(unit, max_size=20), costs, st.booleans())
def test_rows_are_cut_as_counting_all_over_would(
    units: list[tuple[Branch, Branch]], cost: RowCost, share: bool
) -> None:
    """In the order of tokens, a unit joins where that is cheaper and fits; every row is counted anew."""

    def num_tokens(row: list[int]) -> int:
        branches = [b for i in row for b in units[i]]
        return count_nodes(branches) if share else len(branches) * max(map(len, branches))

    expected: list[list[int]] = []
    for i in sorted(range(len(units)), key=lambda i: units[i][0].key):
        last = expected[-1] if expected else []
        joined, alone = num_tokens([*last, i]), num_tokens([i])
        if (
            last
            and joined <= cost.max_tokens
            and cost.of(joined) <= cost.of(num_tokens(last)) + cost.of(alone)
        ):
            last.append(i)
        else:
            expected.append([i])
    with patch("palate.train.key_order._STRETCH", 3):
        assert cut_into_rows(units, cost, share=share) == expected


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_share_of_a_table_is_that_of_a_list(size: int) -> None:
    table = Examples.of(EXAMPLES)
    shares = [share_of(table, rank, size) for rank in range(size)]
    for rank, share in enumerate(shares):
        assert isinstance(share, Examples), "so that its examples are made on access"
        assert [e.key for e in share] == [e.key for e in share_of(EXAMPLES, rank, size)]
    assert sorted(e.id for share in shares for e in share) == sorted(e.id for e in EXAMPLES)


def test_shared_prompts_share_a_row_and_a_square_cuts_it() -> None:
    prompt = list(range(6, 46))
    units = [(branch(prompt, [1, n]), branch(prompt, [2, n])) for n in range(4)]
    assert len(cut_into_rows(units, RowCost(0, math.inf, 1000))) == 1
    assert len(cut_into_rows(units, RowCost(0, math.inf, 41))) == 4, (
        "42 tokens in all, and no row may hold them"
    )
    strangers = [(branch([p] * 40, [1]), branch([p] * 40, [2])) for p in range(1, 5)]
    assert len(cut_into_rows(strangers, RowCost(0, 10.0, 1000))) == 4, (
        "attention's square outweighs a row's start"
    )
    assert len(cut_into_rows(strangers, RowCost(1000, 10.0, 1000))) < 4
