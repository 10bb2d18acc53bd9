"""Per-token log-probabilities of branches, by the tree or a plain padded way.

Everything downstream sees `BranchLogps` and cannot tell which way they were computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from palate.engine.forward import hidden_by_tree, pad_branches
from palate.engine.head import log_collision
from palate.engine.policy import Policy
from palate.engine.tree import Branch

__all__ = ["BranchLogps", "Layout", "branch_logps", "own_forward_logps"]

Layout = Literal["tree", "padded", "own_logits"]
"""`tree`: each distinct token once. `padded`: each branch in a row of its own. `own_logits`: padded too, and
the logits are the model's own, for a model that does something to them which `LanguageHead` does not know."""


@dataclass(frozen=True, slots=True, eq=False)
class BranchLogps:
    """Log-probabilities of every scored token of B branches, branch after branch.

    per_token_logps_S: fp32 [S]. num_scored_B: int64 [B], how many of them belong to each branch.
    num_computed: tokens that went through the model. num_represented: tokens of all branches together.
    log_collision_S: fp32 [S], log sum_v pi(v)^2 at the context of each scored token: how likely two draws
    there are to be the same token. A constant; None where it was not asked for.
    """

    per_token_logps_S: Tensor
    num_scored_B: Tensor
    num_computed: int
    num_represented: int
    log_collision_S: Tensor | None = None

    def sums(self) -> Tensor:
        """Log-probability of each whole completion, fp32 [B]."""
        return self._summed(self.per_token_logps_S)

    def sums_of_first(self, limits_B: Tensor) -> Tensor:
        """Log-probability of the first `limits_B[b]` scored tokens of each branch, fp32 [B].

        limits_B: int [B], not below 0; a branch that has fewer scored tokens counts with all it has.
        """
        starts_B = self.num_scored_B.cumsum(0) - self.num_scored_B
        branch_S = self._branch_of_token()
        position_S = torch.arange(len(branch_S), device=branch_S.device) - starts_B[branch_S]
        # Chosen, not multiplied by zero: a log-probability of -inf past the limit must not make a NaN.
        first = torch.where(position_S < limits_B.to(branch_S.device)[branch_S], self.per_token_logps_S, 0.0)
        return self._summed(first)

    def _summed(self, values_S: Tensor) -> Tensor:
        zeros = values_S.new_zeros(len(self.num_scored_B))
        return zeros.index_add(0, self._branch_of_token(), values_S)

    def _branch_of_token(self) -> Tensor:
        """int64 [S]: which branch each scored token belongs to."""
        branches = torch.arange(len(self.num_scored_B), device=self.num_scored_B.device)
        return torch.repeat_interleave(branches, self.num_scored_B)

    def per_branch(self) -> tuple[Tensor, ...]:
        """The log-probabilities of each branch, as views."""
        return self.per_token_logps_S.split(self.num_scored_B.tolist())


def branch_logps(
    policy: Policy, branches: Sequence[Branch], layout: Layout = "tree", *, collision: bool = False
) -> BranchLogps:
    """Log-probabilities of all scored tokens of `branches` under the policy, differentiable.

    `collision` asks for `BranchLogps.log_collision_S` too; it costs no second product over the vocabulary.

    The branches are computed together, so the caller cuts a batch to what fits in memory
    (`train/batches.py`).
    """
    if layout == "tree":
        return _by_tree(policy, branches, collision)
    if layout == "padded":
        return _padded(policy, branches, collision)
    return _by_own_logits(policy, branches, collision)


def _by_tree(policy: Policy, branches: Sequence[Branch], collision: bool) -> BranchLogps:
    with policy.autocast():
        tree, hidden_ND = hidden_by_tree(policy, branches)
        edges = policy.head.edges(
            hidden_ND[tree.context_C], tree.edge_context_E, tree.edge_target_E, collision=collision
        )
    context_S = tree.edge_context_E[tree.edge_of_token_S]
    return BranchLogps(
        per_token_logps_S=edges.logps_E[tree.edge_of_token_S],
        num_scored_B=tree.num_scored_B,
        num_computed=tree.num_nodes,
        num_represented=tree.num_tokens_represented,
        log_collision_S=edges.log_collision_C[context_S] if edges.log_collision_C is not None else None,
    )


def _padded(policy: Policy, branches: Sequence[Branch], collision: bool) -> BranchLogps:
    """Each branch in a row of its own, padded on the right, as everywhere; but no logits of prompts."""
    rows = pad_branches(branches, policy)
    with policy.autocast():
        context_SD = rows.hidden_states(policy)[:, :-1][rows.scored[:, 1:]]
        target_S = rows.token_ids[rows.scored]
        edge_S = torch.arange(len(target_S), device=policy.device)
        edges = policy.head.edges(context_SD, edge_S, target_S, collision=collision)
    return BranchLogps(
        per_token_logps_S=edges.logps_E,
        num_scored_B=rows.scored.sum(1),
        num_computed=rows.num_computed,
        num_represented=rows.num_represented,
        log_collision_S=edges.log_collision_C,  # here a context has one edge
    )


def _by_own_logits(policy: Policy, branches: Sequence[Branch], collision: bool) -> BranchLogps:
    """Padded rows through the model's own forward pass, logits and all: as slow and large as elsewhere."""
    rows = pad_branches(branches, policy)
    with policy.autocast():
        output = policy.causal_lm(
            input_ids=rows.token_ids, attention_mask=rows.attention_mask, use_cache=False
        )
        logits_SV = output.logits[:, :-1][rows.scored[:, 1:]].float()
        logps_SV = logits_SV.log_softmax(-1)
    return BranchLogps(
        per_token_logps_S=logps_SV.gather(-1, rows.token_ids[rows.scored][:, None])[:, 0],
        num_scored_B=rows.scored.sum(1),
        num_computed=rows.num_computed,
        num_represented=rows.num_represented,
        log_collision_S=log_collision(logps_SV.detach().exp()) if collision else None,
    )


def own_forward_logps(policy: Policy, branches: Sequence[Branch]) -> BranchLogps:
    """The model's own forward pass, one unpadded branch at a time, full logits: slow and beyond doubt.

    Shares no code with the ways above but the weights. Without gradient.
    """
    parts, counts, num_tokens = [], [], 0
    with torch.no_grad():
        for branch in branches:
            ids = torch.from_numpy(branch.token_ids)[None].to(policy.device)
            scored = torch.from_numpy(branch.scored).to(policy.device)
            with policy.autocast():
                logits = policy.causal_lm(input_ids=ids, use_cache=False).logits[0, :-1].float()
            logps = logits.log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
            parts.append(logps[scored[1:]])
            counts.append(branch.num_scored)
            num_tokens += len(branch)
    return BranchLogps(torch.cat(parts), torch.tensor(counts, device=policy.device), num_tokens, num_tokens)
