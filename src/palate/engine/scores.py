"""Scalar scores of completions, by a reward model: a linear map of the hidden state where each one ends.

A reward model is the transformer with one number where a language model has its vocabulary (Ouyang et al.
2022, arXiv:2203.02155, section 3.5). Of a branch only the last token's hidden state is read, so in a tree the
scores stand at the leaves, and all that branches share is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from palate.engine.forward import hidden_by_tree, pad_branches
from palate.engine.logps import Layout
from palate.engine.policy import Policy
from palate.engine.tree import Branch

__all__ = ["BranchScores", "branch_scores", "own_forward_scores"]


@dataclass(frozen=True, slots=True, eq=False)
class BranchScores:
    """Scores of B branches.

    scores_B: fp32 [B], carrying the gradient. num_computed: tokens that went through the model.
    num_represented: tokens of all branches together.
    """

    scores_B: Tensor
    num_computed: int
    num_represented: int


def branch_scores(policy: Policy, branches: Sequence[Branch], layout: Layout = "tree") -> BranchScores:
    """The score of each branch under a reward model, differentiable; `tree` or `padded`.

    As in transformers' sequence classification the score is read at the last token that is not the model's
    padding token. The head is applied in fp32, whatever the transformer computes in.

    The branches are computed together, so the caller cuts a batch to what fits in memory.

    Raises:
        ValueError: the layout is `own_logits`, which has no logits here; a completion holds nothing but
            padding tokens; or the policy is no reward model.
    """
    if layout == "own_logits":
        raise ValueError("scores are computed by the layouts tree and padded; own_logits is for logits")
    head, read = policy.score_head, _as_read(policy, branches)
    with policy.autocast():
        if layout == "tree":
            tree, hidden_ND = hidden_by_tree(policy, read, with_leaves=True)
            leaf_BD = hidden_ND[tree.leaf_B]
            num_computed = tree.num_nodes
        else:
            rows = pad_branches(read, policy)
            row_B = torch.arange(len(read), device=policy.device)
            leaf_BD = rows.hidden_states(policy)[row_B, rows.attention_mask.sum(1) - 1]
            num_computed = rows.num_computed
    with torch.autocast(policy.device.type, enabled=False):
        scores_B = head(leaf_BD.to(_dtype(head)))[:, 0].float()
    return BranchScores(scores_B, num_computed, sum(len(branch) for branch in read))


def own_forward_scores(policy: Policy, branches: Sequence[Branch]) -> tuple[Tensor, Tensor]:
    """The model's own forward pass, one unpadded branch at a time: slow and beyond doubt. Without gradient.

    Returns:
        Scores, fp32 [B]; and units, fp32 [B]: with w the head and h the last token's hidden state of size D,
        |w| |h| / sqrt(D), the size of score that a direction without meaning would have. How large scores
        are depends on the head alone, and a fresh one makes them as small as it is; rounding does too.
    """
    scores, units = [], []
    with torch.no_grad(), _Capture(policy.score_head) as capture:
        weight_norm = torch.cat([p.flatten() for p in _active_weights(policy.score_head)]).float().norm()
        for branch in branches:
            ids = torch.from_numpy(branch.token_ids)[None].to(policy.device)
            with policy.autocast():
                scores.append(policy.base_model(input_ids=ids, use_cache=False).logits[0, 0].float())
            hidden_D = capture.hidden[0, -1].float()
            units.append(weight_norm * hidden_D.norm() / len(hidden_D) ** 0.5)
    return torch.stack(scores), torch.stack(units)


class _Capture:
    """Sees what a score head is given in a model's own forward pass, and widens it to the head's dtype.

    Transformers holds the head in the model's dtype; here it is held in fp32 over a narrower model.
    """

    def __init__(self, head: Any) -> None:
        self.head = head
        self.hidden = torch.empty(0)

    def __enter__(self) -> _Capture:
        self.handle = self.head.register_forward_pre_hook(self._widen)
        return self

    def __exit__(self, *_: object) -> None:
        self.handle.remove()

    def _widen(self, head: Any, args: tuple[Tensor]) -> tuple[Tensor]:
        self.hidden = args[0]
        return (args[0].to(_dtype(head)),)


def _active_weights(head: Any) -> list[Tensor]:
    """The head's own weights, or where peft trains a copy, that copy's."""
    copies = getattr(head, "modules_to_save", None)
    active = copies[head.active_adapters[0]] if copies is not None else head
    return list(active.parameters())


def _dtype(head: Any) -> torch.dtype:
    dtype: torch.dtype = next(head.parameters()).dtype
    return dtype


def _as_read(policy: Policy, branches: Sequence[Branch]) -> list[Branch]:
    """The branches without what the model takes for padding at their ends."""
    pad = policy.text_config.pad_token_id
    return [branch if pad is None else _without_trailing(branch, pad) for branch in branches]


def _without_trailing(branch: Branch, pad: int) -> Branch:
    if branch.token_ids[-1] != pad:
        return branch
    rest = (branch.token_ids != pad).nonzero()[0]
    length = int(rest[-1]) + 1 if len(rest) else 0
    return Branch(branch.token_ids[:length], branch.scored[:length])
