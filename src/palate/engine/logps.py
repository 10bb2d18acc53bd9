"""Per-token log-probabilities of branches, by the tree or a plain padded way.

Everything downstream sees `BranchLogps` and cannot tell which way they were computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from palate.engine.attention import model_mask
from palate.engine.policy import Policy
from palate.engine.tree import Branch, build_tree

__all__ = ["BranchLogps", "Layout", "branch_logps", "own_forward_logps"]

Layout = Literal["tree", "padded", "own_logits"]
"""`tree`: each distinct token once. `padded`: each branch in a row of its own. `own_logits`: padded too, and
the logits are the model's own, for a model that does something to them which `LanguageHead` does not know."""


@dataclass(frozen=True, slots=True, eq=False)
class BranchLogps:
    """Log-probabilities of every scored token of B branches, branch after branch.

    per_token_logps_S: fp32 [S]. num_scored_B: int64 [B], how many of them belong to each branch.
    num_computed: tokens that went through the model. num_represented: tokens of all branches together.
    """

    per_token_logps_S: Tensor
    num_scored_B: Tensor
    num_computed: int
    num_represented: int

    def sums(self) -> Tensor:
        """Log-probability of each whole completion, fp32 [B]."""
        branch_S = torch.repeat_interleave(
            torch.arange(len(self.num_scored_B), device=self.num_scored_B.device), self.num_scored_B
        )
        zeros = self.per_token_logps_S.new_zeros(len(self.num_scored_B))
        return zeros.index_add(0, branch_S, self.per_token_logps_S)

    def per_branch(self) -> tuple[Tensor, ...]:
        """The log-probabilities of each branch, as views."""
        return self.per_token_logps_S.split(self.num_scored_B.tolist())


def branch_logps(policy: Policy, branches: Sequence[Branch], layout: Layout = "tree") -> BranchLogps:
    """Log-probabilities of all scored tokens of `branches` under the policy, differentiable.

    The branches are computed together, so the caller cuts a batch to what fits in memory
    (`train/batches.py`).
    """
    if layout == "tree":
        return _by_tree(policy, branches)
    return _padded(policy, branches) if layout == "padded" else _by_own_logits(policy, branches)


def _by_tree(policy: Policy, branches: Sequence[Branch]) -> BranchLogps:
    if getattr(policy.causal_lm, "_is_stateful", False):
        # A state passes over siblings as it passes over ancestors: no mask keeps them apart.
        raise ValueError("its layers carry a state from each token to the next")
    tree = build_tree(branches).to(policy.device).padded(_row_multiple(policy))
    mask = model_mask(tree, policy.text_config, policy.attention, policy.compute_dtype)
    with policy.autocast():
        hidden_ND = policy.hidden_states(tree.token_ids_N[None], mask, tree.depth_N[None])[0]
        logps_E = policy.head.edge_logps(hidden_ND[tree.context_C], tree.edge_context_E, tree.edge_target_E)
    return BranchLogps(
        per_token_logps_S=logps_E[tree.edge_of_token_S],
        num_scored_B=tree.num_scored_B,
        num_computed=tree.num_nodes,
        num_represented=tree.num_tokens_represented,
    )


def _row_multiple(policy: Policy) -> int:
    """What a row's length is rounded up to.

    On a CPU every new shape of a bf16 product is compiled first, a millisecond each, and kept, most of a
    megabyte each: rows of ever new lengths pay that at every step. Elsewhere shapes cost nothing.
    """
    return 32 if policy.device.type == "cpu" and policy.compute_dtype == torch.bfloat16 else 1


def _padded(policy: Policy, branches: Sequence[Branch]) -> BranchLogps:
    """Each branch in a row of its own, padded on the right, as everywhere; but no logits of prompts."""
    ids, attention_mask, position_ids, scored = _pad(branches, policy)
    with policy.autocast():
        hidden = policy.hidden_states(ids, attention_mask, position_ids)
        context_SD = hidden[:, :-1][scored[:, 1:]]
        target_S = ids[scored]
        edge_S = torch.arange(len(target_S), device=policy.device)
        logps_S = policy.head.edge_logps(context_SD, edge_S, target_S)
    return BranchLogps(logps_S, scored.sum(1), int(ids.numel()), int(attention_mask.sum()))


def _by_own_logits(policy: Policy, branches: Sequence[Branch]) -> BranchLogps:
    """Padded rows through the model's own forward pass, logits and all: as slow and large as elsewhere."""
    ids, attention_mask, _, scored = _pad(branches, policy)
    with policy.autocast():
        output = policy.causal_lm(input_ids=ids, attention_mask=attention_mask, use_cache=False)
        logits_SV = output.logits[:, :-1][scored[:, 1:]].float()
        logps_S = logits_SV.gather(-1, ids[scored][:, None])[:, 0] - logits_SV.logsumexp(-1)
    return BranchLogps(logps_S, scored.sum(1), int(ids.numel()), int(attention_mask.sum()))


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


def _pad(branches: Sequence[Branch], policy: Policy) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """token ids, attention mask, position ids and scored mask, each [B, T]."""
    longest = max(len(branch) for branch in branches)
    shape = (len(branches), longest)
    ids = torch.full(shape, policy.pad_token_id, dtype=torch.long)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    scored = torch.zeros(shape, dtype=torch.bool)
    for row, branch in enumerate(branches):
        ids[row, : len(branch)] = torch.from_numpy(branch.token_ids)
        attention_mask[row, : len(branch)] = 1
        scored[row, : len(branch)] = torch.from_numpy(branch.scored)
    position_ids = torch.arange(longest).expand(shape)
    device = policy.device
    return ids.to(device), attention_mask.to(device), position_ids.to(device), scored.to(device)
