"""Which pairs make up each optimizer step, and how a step is cut into what fits in memory.

Order depends on content and seed, never on the file's order. A run that ends before its first epoch does
takes its pairs by content alone, so runs that differ only in their seed learn from the same pairs: they can
be compared, and the reference cache serves them all.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from palate.engine import Branch
from palate.engine.tree import count_nodes
from palate.recipe import TrainOptions
from palate.train.examples import Example, Examples

__all__ = ["BatchPlan", "RowCost", "cut_into_rows", "plan_batches", "share_of"]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """All optimizer steps of a run.

    pool: the examples it visits at all. num_steps: optimizer steps. steps_per_epoch: steps in one pass over
    the pool. num_examples: all that there are, visited or not.
    """

    pool: Examples
    batch_size: int
    num_steps: int
    steps_per_epoch: int
    num_examples: int
    group_by_prompt: bool
    seed: int
    _orders: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def batch(self, step: int) -> list[Example]:
        """The examples of optimizer step `step`, counted from 0. The same at every call."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = self._order(epoch)
        return [self.pool[i] for i in order[place * self.batch_size : (place + 1) * self.batch_size]]

    def epoch_of(self, num_steps_done: int) -> float:
        """Passes over all examples after so many steps."""
        passes = num_steps_done / self.steps_per_epoch
        return passes * len(self.pool) / self.num_examples

    @property
    def fingerprint(self) -> str:
        """Equal for plans that visit the same examples in the same order."""
        numbers = (self.batch_size, self.num_steps, self.steps_per_epoch, self.group_by_prompt, self.seed)
        total = hashlib.sha256(str(numbers).encode())
        for fingerprint in self.pool.fingerprints():
            total.update(f"\n{fingerprint}".encode())
        return total.hexdigest()

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            self._orders.clear()
            self._orders[epoch] = self._drawn(epoch)
        return self._orders[epoch]

    def _drawn(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, epoch))
        shuffled = rng.permutation(len(self.pool))
        if not self.group_by_prompt:
            return shuffled
        # Prompts in the order in which they come up first; their pairs follow one another.
        _, first, prompt = np.unique(
            self.pool.column("prompt")[shuffled], return_index=True, return_inverse=True
        )
        return shuffled[np.argsort(first[prompt], kind="stable")]


def plan_batches(examples: Sequence[Example], options: TrainOptions, seed: int) -> BatchPlan:
    """Lay out all steps of a run; the last batch of an epoch may be smaller."""
    every = Examples.of(examples)
    pool = every.take(every.by_key())
    steps_per_epoch = math.ceil(len(pool) / options.batch_size)
    num_steps = max(1, round(options.epochs * steps_per_epoch))
    if options.max_steps is not None:
        num_steps = min(num_steps, options.max_steps)
    if num_steps < steps_per_epoch:
        pool = _visited(pool, num_steps * options.batch_size, options.group_by_prompt)
        steps_per_epoch = num_steps
    return BatchPlan(
        pool=pool,
        batch_size=options.batch_size,
        num_steps=num_steps,
        steps_per_epoch=steps_per_epoch,
        num_examples=len(examples),
        group_by_prompt=options.group_by_prompt,
        seed=seed,
    )


def _visited(pool: Examples, num_examples: int, group_by_prompt: bool) -> Examples:
    """The part of the pool that a run too short for all of it learns from.

    The pool is in the order of its content's hash, which is as good as random and the same for every seed.
    """
    if group_by_prompt:  # whole prompts, or there would be little left to group
        pool = pool.take(np.argsort(pool.column("prompt"), kind="stable"))
    return pool[:num_examples]


def share_of(batch: Sequence[Example], rank: int, size: int) -> list[Example]:
    """The examples of a batch that process `rank` of `size` computes.

    Each gets a stretch of the batch in the order of its tokens, in which those that share most stand
    together, of about as many tokens as the others'.
    """
    if size == 1:
        return list(batch)
    ordered = sorted(batch, key=lambda example: example.branches[0].key)
    num_tokens = np.array([sum(len(branch) for branch in example.branches) for example in ordered])
    middles = np.cumsum(num_tokens) - num_tokens / 2
    owners = np.floor(middles * size / num_tokens.sum())
    return [example for example, owner in zip(ordered, owners, strict=True) if owner == rank]


@dataclass(frozen=True, slots=True)
class RowCost:
    """What one row of N tokens costs, in tokens' worth of work: overhead + N + N^2 / square.

    overhead: what starting a row costs, whatever it holds. square: the row length at which attention costs as
    much as everything else. max_tokens: what fits in memory.
    """

    overhead: float
    square: float
    max_tokens: int

    def of(self, num_tokens: int) -> float:
        """The cost of a row."""
        return self.overhead + num_tokens + num_tokens**2 / self.square


def cut_into_rows(units: Sequence[Sequence[Branch]], cost: RowCost, *, share: bool = True) -> list[list[int]]:
    """Cut a batch into rows, each computed by itself; returns the indices of the units in each.

    A unit (the two sides of a pair) is never split: its loss needs both. Units are taken in the order of
    their tokens, in which those that share most stand together; a unit joins the row while that is cheaper
    than starting another, and while the row stays within `max_tokens`.
    """
    rows: list[list[int]] = []
    row_branches: list[Branch] = []
    row_tokens = 0
    for i in sorted(range(len(units)), key=lambda i: units[i][0].key):
        alone = _num_tokens(units[i], share)
        together = _num_tokens([*row_branches, *units[i]], share) if rows else 0
        joins = (
            rows and together <= cost.max_tokens and cost.of(together) <= cost.of(row_tokens) + cost.of(alone)
        )
        if joins:
            rows[-1].append(i)
            row_branches += units[i]
            row_tokens = together
        else:
            rows.append([i])
            row_branches, row_tokens = list(units[i]), alone
    return rows


def _num_tokens(branches: Sequence[Branch], share: bool) -> int:
    if share:
        return count_nodes(branches)
    return len(branches) * max(len(branch) for branch in branches)
