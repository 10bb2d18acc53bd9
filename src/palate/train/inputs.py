"""From examples to what an objective reads: one row through the model, laid out as its kind of data asks.

Whatever the kind, a row of B examples is a table `[B, K]` of completions, the preferred first: two columns
for pairs, one for labels, as many as the longest has for rankings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from palate.engine import Branch, BranchLogps, Layout, Policy, branch_logps, branch_scores
from palate.engine.reference import MovingReference, Reference
from palate.objectives import LabelLogps, PairLogps, PairScores, RankingLogps
from palate.recipe import ObjectiveOptions
from palate.train.examples import Example

__all__ = ["BatchContext", "Computation", "Inputs", "Source", "row_branches"]

Inputs = PairLogps | PairScores | LabelLogps | RankingLogps


@dataclass(frozen=True, slots=True, eq=False)
class BatchContext:
    """What a row is told of its whole batch and of the steps before, where its objective asked for it."""

    kl: Tensor | None = None
    reward_shift: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Computation:
    """One row, computed.

    inputs: what the objective reads. rewards_BK: the reward each completion has by this model, detached.
    logps_BK, lengths_BK: log-probabilities and scored tokens; None where the model gives scores.
    present_BK: where there is a completion. kl_sum, num_kl_tokens: the drift from the reference on these
    tokens. num_computed, num_represented: tokens through the model, and those of all completions together.
    """

    inputs: Inputs
    rewards_BK: Tensor
    logps_BK: Tensor | None
    lengths_BK: Tensor | None
    present_BK: Tensor
    preferred_BK: Tensor
    dispreferred_BK: Tensor
    num_computed: int
    num_represented: int
    kl_sum: Tensor | None = None
    num_kl_tokens: int = 0


@dataclass(eq=False)
class Source:
    """What rows are computed with."""

    policy: Policy
    reference: Reference | MovingReference | None
    options: ObjectiveOptions
    layout: Layout

    def compute(
        self,
        examples: Sequence[Example],
        context: BatchContext,
        *,
        all_sides: bool = True,
    ) -> Computation:
        """The row's completions under policy and reference; without `all_sides` the preferred ones alone."""
        sides = _row_sides(examples, all_sides=all_sides)
        branches = [examples[i].branches[side] for i, side in sides]
        table = _Table(sides, len(examples), self.policy.device)
        if self.options.reads == "scores":
            return _scored(self, examples, branches, table)
        # A reference that moves puts its own weights into the model for a moment: before the policy's turn.
        reference = self.reference.logps(branches) if self.reference is not None else None
        policy = branch_logps(
            self.policy, branches, self.layout, collision=self.options.needs_collision and all_sides
        )
        return _by_logps(self.options, examples, policy, reference, table, context)

    def mismatched_log_ratios(self, examples: Sequence[Example]) -> Tensor:
        """[M] log-ratios of the mismatched completions of a row, without gradient."""
        branches = [example.mismatched for example in examples if example.mismatched is not None]
        if not branches or self.reference is None:
            return torch.zeros(0, device=self.policy.device)
        reference = self.reference.logps(branches).sums()
        with self.policy.evaluating():
            return branch_logps(self.policy, branches, self.layout).sums() - reference


def _row_sides(examples: Sequence[Example], *, all_sides: bool) -> list[tuple[int, int]]:
    """(example, side) of every completion in a row: all preferred ones, then all second ones, and so on."""
    longest = max(len(example.branches) for example in examples) if all_sides else 1
    return [
        (i, side)
        for side in range(longest)
        for i, example in enumerate(examples)
        if side < len(example.branches)
    ]


def row_branches(examples: Sequence[Example]) -> list[Branch]:
    """The completions of a row in the order in which they are computed."""
    return [examples[i].branches[side] for i, side in _row_sides(examples, all_sides=True)]


class _Table:
    """Puts a value of every completion into its place in a [B, K] table."""

    def __init__(self, sides: Sequence[tuple[int, int]], num_examples: int, device: torch.device) -> None:
        places = torch.tensor(sides, device=device).T
        self.example_F, self.side_F = places[0], places[1]
        self.shape = num_examples, max(side for _, side in sides) + 1
        self.present_BK = self(torch.ones(len(sides), dtype=torch.bool, device=device))

    def __call__(self, values_F: Tensor) -> Tensor:
        empty = values_F.new_zeros(self.shape)
        return empty.index_put((self.example_F, self.side_F), values_F)


def _by_logps(
    options: ObjectiveOptions,
    examples: Sequence[Example],
    policy: BranchLogps,
    reference: BranchLogps | None,
    table: _Table,
    context: BatchContext,
) -> Computation:
    logps_BK, lengths_BK = table(policy.sums()), table(policy.num_scored_B)
    reference_BK = table(reference.sums()) if reference is not None else None
    inputs: Inputs
    if options.data == "pairs":
        inputs = _pairs(options, examples, policy, reference, table, context)
    elif options.data == "labels":
        inputs = LabelLogps(
            logps=logps_BK[:, 0],
            lengths=lengths_BK[:, 0],
            desirable=_desirable(examples, logps_BK.device),
            reference=reference_BK[:, 0] if reference_BK is not None else None,
            kl=context.kl,
            reward_shift=context.reward_shift,
        )
    else:
        inputs = RankingLogps(
            logps=logps_BK, lengths=lengths_BK, present=table.present_BK, reference=reference_BK
        )
    rewards_BK = (logps_BK if reference_BK is None else logps_BK - reference_BK).detach()
    kl_sum, num_kl_tokens = None, 0
    if reference is not None:
        # Schulman's k2, (log ratio)^2 / 2 per token, on the data's own completions: never negative, zero
        # where policy and reference agree. It measures drift on this text; his k3 is less biased for small
        # drifts and blows up on the rejected side, whose probability falls by whole nats.
        gap = (reference.per_token_logps_S - policy.per_token_logps_S).detach()
        kl_sum, num_kl_tokens = gap.square().sum() / 2, gap.numel()
    preferred_BK, dispreferred_BK = _sides(examples, table.present_BK)
    return Computation(
        inputs=inputs,
        rewards_BK=options.reward_scale * rewards_BK,
        logps_BK=logps_BK.detach(),
        lengths_BK=lengths_BK,
        present_BK=table.present_BK,
        preferred_BK=preferred_BK,
        dispreferred_BK=dispreferred_BK,
        num_computed=policy.num_computed,
        num_represented=policy.num_represented,
        kl_sum=kl_sum,
        num_kl_tokens=num_kl_tokens,
    )


def _pairs(
    options: ObjectiveOptions,
    examples: Sequence[Example],
    policy: BranchLogps,
    reference: BranchLogps | None,
    table: _Table,
    context: BatchContext,
) -> PairLogps:
    logps_BK, lengths_BK = table(policy.sums()), table(policy.num_scored_B)
    values = _columns("{}", logps_BK) | _columns("{}_lengths", lengths_BK)
    if reference is not None:
        values |= _columns("reference_{}", table(reference.sums()))
    if policy.log_collision_S is not None:
        collision = replace(policy, per_token_logps_S=policy.log_collision_S).sums()
        values |= _columns("{}_log_collision", table(collision) / lengths_BK)
    if options.needs_public_length:
        # The shorter side's length is the limit of both.
        limit_F = lengths_BK.min(1).values[table.example_F]
        values |= _columns("{}_public", table(policy.sums_of_first(limit_F)))
        if reference is not None:
            values |= _columns("reference_{}_public", table(reference.sums_of_first(limit_F)))
    return PairLogps(
        **values,
        target_margin=_target_margin(options, examples, logps_BK),
        reward_shift=context.reward_shift,
    )


def _columns(name: str, values_BK: Tensor) -> dict[str, Any]:
    sides = ("chosen", "rejected")[: values_BK.shape[1]]
    return {name.format(side): values_BK[:, k] for k, side in enumerate(sides)}


def _scored(
    source: Source, examples: Sequence[Example], branches: Sequence[Branch], table: _Table
) -> Computation:
    found = branch_scores(source.policy, branches, source.layout)
    scores_BK = table(found.scores_B)
    preferred_BK, dispreferred_BK = _sides(examples, table.present_BK)
    return Computation(
        inputs=PairScores(
            chosen=scores_BK[:, 0],
            rejected=scores_BK[:, 1],
            target_margin=_target_margin(source.options, examples, scores_BK),
        ),
        rewards_BK=scores_BK.detach(),
        logps_BK=None,
        lengths_BK=None,
        present_BK=table.present_BK,
        preferred_BK=preferred_BK,
        dispreferred_BK=dispreferred_BK,
        num_computed=found.num_computed,
        num_represented=found.num_represented,
    )


def _target_margin(options: ObjectiveOptions, examples: Sequence[Example], like: Tensor) -> Tensor | None:
    margins = [example.margin for example in examples]
    if not options.takes_margin or all(margin is None for margin in margins):
        return None
    return torch.tensor([margin or 0.0 for margin in margins], dtype=like.dtype, device=like.device)


def _desirable(examples: Sequence[Example], device: torch.device) -> Tensor:
    return torch.tensor([example.desirable is not False for example in examples], device=device)


def _sides(examples: Sequence[Example], present_BK: Tensor) -> tuple[Tensor, Tensor]:
    """[B, K] bool each: the completions the data prefers to others, and those it likes least."""
    first_BK = torch.zeros_like(present_BK)
    first_BK[:, 0] = True
    if examples[0].desirable is not None:
        up_BK = _desirable(examples, present_BK.device)[:, None]
        return first_BK & up_BK, first_BK & ~up_BK
    last_B = present_BK.sum(1) - 1
    last_BK = torch.zeros_like(present_BK).scatter(1, last_B[:, None], True)
    return first_BK, last_BK & ~first_BK
