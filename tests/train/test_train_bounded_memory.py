"""What a run looks through as a whole is never in memory as a whole: tokens are, a row at a time."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from palate.engine import Branch, BranchLogps, Reference, load_policy
from palate.recipe import ModelOptions, TrainOptions
from palate.train import Example
from palate.train.batches import RowCost, plan_batches
from palate.train.examples import Examples
from palate.train.inputs import Computation, Source
from palate.train.loop import evaluate
from palate.train.processes import Processes
from palate.train.references import fill_reference
from palate.train.schedule import count_rows
from palate.watcher import Watcher
from tiny_run import tiny_recipe, tiny_trainer

NUM_TOKENS = 400
# A pair in memory as objects: two branches of int64 tokens with a flag each.
PAIR_BYTES = 2 * NUM_TOKENS * 9
COST = RowCost(100, 20_000.0, 3200)


def pairs(count: int) -> Examples:
    """Pairs of NUM_TOKENS-long sides as a table."""
    scored = np.arange(NUM_TOKENS) >= NUM_TOKENS - 5

    def side(number: int, answer: int) -> Branch:
        return Branch(np.concatenate([np.full(NUM_TOKENS - 5, number), np.full(5, answer)]), scored)

    return Examples.of(
        [Example((side(3 + i, 1), side(3 + i, 2)), f"{i:016x}", f"{i:016x}") for i in range(count)]
    )


def bytes_a_pair(work: Callable[[Examples], object], few: int = 300, many: int = 900) -> float:
    """By how much the peak of what `work` allocates grows with every pair more."""
    peaks = []
    for count in (few, few, many):  # the first time things are imported
        examples = pairs(count)
        tracemalloc.start()
        try:
            work(examples)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return (peaks[2] - peaks[1]) / (many - few)


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.train.key_order._STRETCH", 128)


def zeros(policy: object, branches: Sequence[Branch], layout: str) -> BranchLogps:
    counts = torch.tensor([branch.num_scored for branch in branches])
    return BranchLogps(torch.zeros(int(counts.sum())), counts, 0, 0)


def test_filling_the_reference(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.engine.reference.branch_logps", zeros)
    policy = load_policy(ModelOptions(base=str(base)))
    found = []

    def work(examples: Examples) -> None:
        reference = Reference(policy, "tree")
        plan = plan_batches(examples[20:], TrainOptions(batch_size=4), 0)
        fill_reference(reference, plan, examples[:20], COST, Processes(), Watcher())
        found.append(reference.num_computed + reference.num_cached)
        reference.close()

    assert bytes_a_pair(work) < PAIR_BYTES / 5
    assert found == [600, 600, 1800]


def test_evaluating(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = tiny_trainer(tiny_recipe(tmp_path, base, "objective={type: sft}"))
    trainer.row_cost = COST
    trainer.objective = lambda values: values
    num_seen = 0

    def compute(self: Source, examples: Sequence[Example], *args: Any, **kwargs: Any) -> Computation:
        nonlocal num_seen
        num_seen += len(examples)
        zeros_BK = torch.zeros(len(examples), 2)
        here = torch.ones(len(examples), 2, dtype=torch.bool)
        return Computation(zeros_BK[:, 0], zeros_BK, None, None, here, here, here, 0, 0)  # type: ignore[arg-type]

    monkeypatch.setattr(Source, "compute", compute)

    def work(examples: Examples) -> None:
        trainer.eval_examples = examples
        evaluate(trainer)

    assert bytes_a_pair(work) < PAIR_BYTES / 5, "of each it keeps whose it is and its margin"
    assert num_seen == 300 + 300 + 900


def test_planning(base: Path) -> None:
    policy = load_policy(ModelOptions(base=str(base)))
    found = []

    def work(examples: Examples) -> None:
        count = count_rows(iter([examples]), policy, "tree", COST, all_sides=True)
        found.append(count.tokens.represented)

    assert bytes_a_pair(work) < PAIR_BYTES / 5
    assert found[-1] == 900 * 2 * NUM_TOKENS
