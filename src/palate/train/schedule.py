"""What a run will go through, exactly: its steps and rows, and when it evaluates and saves.

By the run's own code on the run's own examples; only the tokens' way through the model is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from palate.engine import Branch, Layout, Policy, build_tree
from palate.engine.forward import row_multiple
from palate.engine.scores import as_read
from palate.recipe import TrainOptions
from palate.train.batches import BatchPlan, RowCost, rows_of
from palate.train.examples import Example
from palate.train.inputs import row_branches
from palate.train.lazy import Mapped
from palate.train.loop import is_due
from palate.watcher import Watcher

__all__ = [
    "PlannedRow",
    "RowCount",
    "Tokens",
    "checkpoint_steps",
    "count_branches",
    "count_rows",
    "evaluation_steps",
]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of all rows together. represented: with every completion by itself. computed: through the model, what
    is shared once, padding included. scored: whose log-probability counts, of every completion."""

    represented: int = 0
    computed: int = 0
    scored: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.represented + other.represented,
            self.computed + other.computed,
            self.scored + other.scored,
        )


@dataclass(frozen=True, slots=True, eq=False)
class PlannedRow:
    """A row as it will be computed. is_first: no row of its batch goes before it."""

    branches: Sequence[Branch]
    tokens: Tokens
    is_first: bool


@dataclass(slots=True, eq=False)
class RowCount:
    """Rows of a run or a part of it, added up.

    largest_first, largest_later: the rows with the most tokens through the model, of those that are first in
    their batch and of the others. lengths: the different numbers of tokens that rows have through the model.
    contexts: the different numbers of tokens that their heads are given, but for what they share.
    """

    tokens: Tokens
    num_rows: int
    largest_first: PlannedRow | None
    largest_later: PlannedRow | None
    lengths: set[int]
    contexts: set[int]

    @property
    def largest(self) -> PlannedRow | None:
        """The row with the most tokens through the model."""
        found = [row for row in (self.largest_first, self.largest_later) if row is not None]
        return max(found, key=lambda row: row.tokens.computed, default=None)

    def add(self, row: PlannedRow) -> None:
        """Count one more."""
        self.tokens += row.tokens
        self.num_rows += 1
        self.lengths.add(row.tokens.computed)
        self.contexts.add(row.tokens.scored)
        before = self.largest_first if row.is_first else self.largest_later
        if before is None or row.tokens.computed > before.tokens.computed:
            if row.is_first:
                self.largest_first = row
            else:
                self.largest_later = row


def count_rows(
    batches: Iterator[Sequence[Example]],
    policy: Policy,
    layout: Layout,
    cost: RowCost,
    *,
    all_sides: bool,
    watcher: Watcher | None = None,
) -> RowCount:
    """Cut every batch into rows as the loop does, and count what goes through the model."""
    count = RowCount(Tokens(), 0, None, None, set(), set())
    for number, batch in enumerate(batches):
        units = Mapped(batch, lambda example: example.branches if all_sides else example.branches[:1])
        for place, row in enumerate(rows_of(units, cost, share=layout == "tree")):
            examples = [batch[i] for i in row]
            branches = row_branches(examples) if all_sides else [e.branches[0] for e in examples]
            count.add(PlannedRow(branches, _tokens(branches, policy, layout), place == 0))
        if watcher is not None:
            watcher.advance(number + 1)
    return count


def count_branches(units: Iterable[Sequence[Branch]], policy: Policy, layout: Layout) -> RowCount:
    """The same of rows that are cut already."""
    count = RowCount(Tokens(), 0, None, None, set(), set())
    for branches in units:
        count.add(PlannedRow(branches, _tokens(branches, policy, layout), True))
    return count


def _tokens(branches: Sequence[Branch], policy: Policy, layout: Layout) -> Tokens:
    read = as_read(policy, branches) if policy.is_reward_model else branches
    represented = sum(len(branch) for branch in read)
    scored = 0 if policy.is_reward_model else sum(branch.num_scored for branch in read)
    if layout == "tree":
        tree = build_tree(read, with_leaves=policy.is_reward_model).padded(row_multiple(policy))
        return Tokens(represented, tree.num_nodes, scored)
    return Tokens(represented, len(read) * max(len(branch) for branch in read), scored)


def evaluation_steps(plan: BatchPlan, options: TrainOptions, num_held_out: int) -> list[int]:
    """After which optimizer steps the held-out examples are gone through; an early stop may cut it short."""
    if not num_held_out:
        return []
    return [step for step in range(1, plan.num_steps + 1) if is_due(options.evaluate_every, step, plan)]


def checkpoint_steps(plan: BatchPlan, options: TrainOptions) -> list[int]:
    """After which optimizer steps a checkpoint is written in any case; a new best one is written besides."""
    return [step for step in range(1, plan.num_steps + 1) if is_due(options.checkpoint_every, step, plan)]
