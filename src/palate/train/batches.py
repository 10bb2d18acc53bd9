"""Which pairs make up each optimizer step, and how a step is cut into what fits in memory.

Order depends on content and seed, never on the file's order. A run that ends before its first epoch does
takes its pairs by content alone, so runs that differ only in their seed learn from the same pairs: they can
be compared, and the reference cache serves them all.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from palate.engine import Branch
from palate.engine.tree import common_prefix
from palate.recipe import TrainOptions
from palate.train.examples import Example, Examples
from palate.train.key_order import key_order

__all__ = ["BatchPlan", "RowCost", "cut_into_rows", "plan_batches", "rows_of", "share_of"]


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


def share_of(batch: Sequence[Example], rank: int, size: int) -> Sequence[Example]:
    """The examples of a batch that process `rank` of `size` computes.

    Each gets a stretch of the batch in the order of its tokens, in which those that share most stand
    together, of about as many tokens as the others'.
    """
    if size == 1:
        return batch
    order = np.fromiter(key_order(lambda i: batch[i].branches[0].key, len(batch)), np.int64)
    num_tokens = np.array([sum(len(branch) for branch in batch[i].branches) for i in order.tolist()])
    middles = np.cumsum(num_tokens) - num_tokens / 2
    owners = np.floor(middles * size / num_tokens.sum())
    mine = order[owners == rank]
    return batch.take(mine) if isinstance(batch, Examples) else [batch[i] for i in mine]


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
    return list(rows_of(units, cost, share=share))


def rows_of(units: Sequence[Sequence[Branch]], cost: RowCost, *, share: bool = True) -> Iterator[list[int]]:
    """The same rows one after another. Of units that are made on access only those of a row are in memory."""
    row: list[int] = []
    size, row_tokens = _Size(share), 0
    for i in key_order(lambda i: units[i][0].key, len(units)):
        unit = units[i]
        alone_size = _Size(share)
        alone = alone_size.with_more(unit)
        together = size.with_more(unit) if row else 0
        joins = (
            row and together <= cost.max_tokens and cost.of(together) <= cost.of(row_tokens) + cost.of(alone)
        )
        if joins:
            row.append(i)
            row_tokens = together
            continue
        if row:
            yield row
        row, size, row_tokens = [i], alone_size, alone
    if row:
        yield row


class _Size:
    """How many tokens a row has, while branches are put into it.

    With sharing it is `count_nodes` of all: what a branch adds is what it does not share with the two that
    stand beside it in the order of tokens.
    """

    def __init__(self, share: bool) -> None:
        self._share = share
        self._keys: list[bytes] = []
        self._inputs: list[npt.NDArray[np.int64]] = []
        self._num_branches = self._longest = self._num_nodes = 0

    def with_more(self, branches: Sequence[Branch]) -> int:
        """Put these in; returns how many tokens there are now."""
        for branch in branches:
            self._num_branches += 1
            self._longest = max(self._longest, len(branch))
            if self._share:
                self._put(branch.token_ids[:-1])
        return self._num_nodes if self._share else self._num_branches * self._longest

    def _put(self, tokens: npt.NDArray[np.int64]) -> None:
        key = tokens.astype(">u4").tobytes()  # the order of these bytes is that of the tokens
        place = bisect_left(self._keys, key)
        beside = self._inputs[max(0, place - 1) : place + 1]
        self._num_nodes += len(tokens) - max((common_prefix(tokens, other) for other in beside), default=0)
        self._keys.insert(place, key)
        self._inputs.insert(place, tokens)
