"""Scalar scores of completions, by a reward model: a linear map of the hidden state where each one ends.

A reward model is the transformer with one number where a language model has its vocabulary (Ouyang et al.
2022, arXiv:2203.02155, section 3.5). Of a branch only the last token's hidden state is read, so in a tree the
scores stand at the leaves, and all that branches share is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from palate.engine.forward import hidden_by_tree, pad_branches
from palate.engine.logps import Layout
from palate.engine.policy import Policy
from palate.engine.tree import Branch

__all__ = ["BranchScores", "branch_scores", "own_forward_scores", "score_head_norm", "scores_and_states"]


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
    return scores_and_states(policy, branches, layout)[0]


def scores_and_states(
    policy: Policy, branches: Sequence[Branch], layout: Layout
) -> tuple[BranchScores, Tensor]:
    """`branch_scores`, and the hidden states [B, D] that the head was given."""
    if layout == "own_logits":
        raise ValueError("scores are computed by the layouts tree and padded; own_logits is for logits")
    head, read = policy.score_head, as_read(policy, branches)
    with policy.autocast():
        if layout == "tree":
            tree, hidden_ND = hidden_by_tree(policy, read, with_leaves=True)
            leaf_BD, num_computed = hidden_ND[tree.leaf_B], tree.num_nodes
        else:
            rows = pad_branches(read, policy)
            row_B = torch.arange(len(read), device=policy.device)
            leaf_BD = rows.hidden_states(policy)[row_B, rows.attention_mask.sum(1) - 1]
            num_computed = rows.num_computed
    with torch.autocast(policy.device.type, enabled=False):
        scores_B = head(leaf_BD.to(_dtype(head)))[:, 0].float()
    return BranchScores(scores_B, num_computed, sum(len(branch) for branch in read)), leaf_BD


def own_forward_scores(policy: Policy, branches: Sequence[Branch]) -> tuple[Tensor, Tensor]:
    """The model's own forward pass, one unpadded branch at a time: slow and beyond doubt. Without gradient.

    Returns:
        Scores, fp32 [B], and the hidden states [B, D] where they are read.
    """
    scores, states = [], []
    lengths = [len(branch) for branch in as_read(policy, branches)]
    with torch.no_grad(), _SeenByHead(policy.score_head) as seen:
        for branch, length in zip(branches, lengths, strict=True):
            ids = torch.from_numpy(branch.token_ids)[None].to(policy.device)
            with policy.autocast():
                scores.append(policy.base_model(input_ids=ids, use_cache=False).logits[0, 0].float())
            states.append(seen.hidden[0, length - 1])
    return torch.stack(scores), torch.stack(states)


def score_head_norm(policy: Policy) -> float:
    """The length of the score head's weight vector."""
    head = policy.score_head
    with torch.enable_grad():  # a linear map's slope is its weight, whichever of peft's copies is in use
        state = torch.zeros(policy.text_config.hidden_size, dtype=_dtype(head), device=policy.device)
        (weight,) = torch.autograd.grad(head(state.requires_grad_()).sum(), state)
    return float(weight.norm())


class _SeenByHead:
    """What a score head is given in a model's own forward pass, widened to the head's dtype.

    Transformers holds the head in the model's dtype; here it is held in fp32 over a narrower model.
    """

    def __init__(self, head: nn.Module) -> None:
        self.head = head
        self.hidden = torch.empty(0)

    def __enter__(self) -> _SeenByHead:
        self.handle = self.head.register_forward_pre_hook(self._widen)
        return self

    def __exit__(self, *_: object) -> None:
        self.handle.remove()

    def _widen(self, head: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        self.hidden = args[0]
        return (args[0].to(_dtype(head)),)


def _dtype(head: nn.Module) -> torch.dtype:
    return next(head.parameters()).dtype


def as_read(policy: Policy, branches: Sequence[Branch]) -> list[Branch]:
    """The branches without what the model takes for padding at their ends."""
    pad = policy.text_config.pad_token_id
    return [branch if pad is None else _without_trailing(branch, pad) for branch in branches]


def _without_trailing(branch: Branch, pad: int) -> Branch:
    if branch.token_ids[-1] != pad:
        return branch
    others = (branch.token_ids != pad).nonzero()[0]
    length = int(others[-1]) + 1 if len(others) else 0
    return Branch(branch.token_ids[:length], branch.scored[:length])
