"""Hidden states of branches: as a tree, each distinct token once, or each branch in a row of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from palate.engine.attention import model_mask
from palate.engine.policy import Policy
from palate.engine.tree import Branch, Tree, build_tree

__all__ = ["PaddedRows", "hidden_by_tree", "pad_branches"]


def hidden_by_tree(
    policy: Policy, branches: Sequence[Branch], *, with_leaves: bool = False
) -> tuple[Tree, Tensor]:
    """The branches' tree on the policy's device, and its nodes' hidden states after the final norm, [N, D].

    Call it under `policy.autocast()`. `with_leaves` is as in `build_tree`.

    Raises:
        ValueError: no mask makes this model compute a tree.
    """
    if getattr(policy.base_model, "_is_stateful", False):
        # A state passes over siblings as it passes over ancestors: no mask keeps them apart.
        raise ValueError("its layers carry a state from each token to the next")
    tree = build_tree(branches, with_leaves=with_leaves).to(policy.device).padded(row_multiple(policy))
    mask = model_mask(tree, policy.text_config, policy.attention, policy.compute_dtype)
    return tree, policy.hidden_states(tree.token_ids_N[None], mask, tree.depth_N[None])[0]


def row_multiple(policy: Policy) -> int:
    """What a row's length is rounded up to.

    On a CPU every new shape of a bf16 product is compiled first, a millisecond each, and kept, most of a
    megabyte each: rows of ever new lengths pay that at every step. Elsewhere shapes cost nothing.
    """
    return 32 if policy.device.type == "cpu" and policy.compute_dtype == torch.bfloat16 else 1


@dataclass(frozen=True, slots=True, eq=False)
class PaddedRows:
    """B branches as rows of T tokens, padded on the right. Each tensor is [B, T]."""

    token_ids: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    scored: Tensor

    @property
    def num_computed(self) -> int:
        """Tokens that go through the model, padding included."""
        return int(self.token_ids.numel())

    @property
    def num_represented(self) -> int:
        """Tokens of all branches together."""
        return int(self.attention_mask.sum())

    def hidden_states(self, policy: Policy) -> Tensor:
        """After the final norm, [B, T, D]. Call it under `policy.autocast()`."""
        return policy.hidden_states(self.token_ids, self.attention_mask, self.position_ids)


def pad_branches(branches: Sequence[Branch], policy: Policy) -> PaddedRows:
    """Each branch in a row of its own, on the policy's device."""
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
    return PaddedRows(*(tensor.to(policy.device) for tensor in (ids, attention_mask, position_ids, scored)))
