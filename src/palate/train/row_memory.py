"""What one row takes in memory, forwards and backwards: gone through without a weight, a tensor or a result.

The row runs through the model's own code on tensors that have shapes and no memory (`engine/skeleton.py`),
with everything counted that autograd keeps. So whatever the model and the engine keep or make again, the
figure follows: there is no formula to fall behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from palate.engine import Branch, Layout, Policy
from palate.engine.forward import hidden_by_tree, pad_branches
from palate.engine.head import CHUNK_ELEMENTS, shape_logits
from palate.engine.skeleton import Skeleton
from palate.train.live_memory import LARGE_BYTES, LiveMemory

__all__ = ["RowMemory", "own_forward_bytes", "row_memory"]

# fp32 numbers per element of a chunk of logits: themselves, and inside logsumexp their exponentials. A soft
# cap adds its quotient and the slope.
_FROZEN_HEAD_COPIES, _CAPPED_HEAD_COPIES = 2, 4


@dataclass(frozen=True, slots=True)
class RowMemory:
    """Bytes of one row. gradients: of all that is trained, in full. head: what going over the vocabulary adds
    where that is the largest moment. activations: the rest of the largest moment, masks and transients
    included. large: how much of it and the head is in large tensors (`live_memory.py`)."""

    activations: int
    head: int
    gradients: int
    large: int = 0

    @property
    def peak(self) -> int:
        """All of it."""
        return self.activations + self.head + self.gradients


def row_memory(
    skeleton: Skeleton,
    branches: Sequence[Branch],
    layout: Layout,
    *,
    gradient: bool,
    gradients_held: bool = False,
) -> RowMemory:
    """What these branches take, computed together.

    gradient: backwards too. gradients_held: rows of the same batch went before, so gradients are there
    already.
    """
    policy = skeleton.runnable
    parameters = policy.trainable_parameters() if gradient else []
    gradients = sum(p.numel() * p.element_size() for p in parameters)
    with skeleton.mode, LiveMemory() as live, torch.set_grad_enabled(gradient):
        if gradients_held:
            for parameter in parameters:
                parameter.grad = torch.empty_like(parameter)
        rows = _Rows(policy, branches, layout)
        moments = [(live.peak_bytes, live.large_at_peak_bytes)]
        live.restart_peak()
        kept = _through_head(policy, rows.read)
        moments.append((live.peak_bytes, live.large_at_peak_bytes))
        live.restart_peak()
        if gradient:
            torch.autograd.backward(kept[0], torch.empty_like(kept[0]))
        moments.append((live.peak_bytes, live.large_at_peak_bytes))
        for parameter in parameters:
            parameter.grad = None
        del rows, kept
    peak, large = max(moments)
    (without_head, _), (with_head, _), (after, _) = moments
    head = max(0, with_head - max(without_head, after))
    large_gradients = sum(n for p in parameters if (n := p.numel() * p.element_size()) >= LARGE_BYTES)
    return RowMemory(peak - head - gradients, head, gradients, max(0, large - large_gradients))


class _Rows:
    """Hidden states by either layout, and those of them that the head reads."""

    def __init__(self, policy: Policy, branches: Sequence[Branch], layout: Layout) -> None:
        scores = policy.is_reward_model
        with policy.autocast():
            if layout == "tree":
                self.tree, hidden = hidden_by_tree(policy, branches, with_leaves=scores)
                num_read = len(branches) if scores else len(self.tree.context_C)
            else:
                self.padded = pad_branches(branches, policy)
                hidden = self.padded.hidden_states(policy).flatten(0, 1)
                num_read = len(branches) if scores else sum(branch.num_scored for branch in branches)
        self.read: Tensor = hidden[torch.zeros(num_read, dtype=torch.long)]


def _through_head(policy: Policy, read_CD: Tensor) -> tuple[Tensor, Any]:
    """What the gradient begins at, and what has to stay until then."""
    if policy.is_reward_model:
        with torch.autocast("cpu", enabled=False):
            return policy.score_head(read_CD.float())[:, 0], None
    head = policy.head
    vocabulary = _vocabulary(head.module)
    rows = max(1, CHUNK_ELEMENTS // vocabulary)
    if head.is_plain_and_frozen():
        weight = head.module.weight.to(policy.compute_dtype)  # a copy where weights are held in more
        copies = _FROZEN_HEAD_COPIES if head.softcap is None else _CAPPED_HEAD_COPIES
        logits = [torch.empty(min(len(read_CD), rows) * vocabulary) for _ in range(copies)]
        del weight, logits
        return read_CD, torch.empty_like(read_CD)

    def chunk(hidden: Tensor) -> Tensor:
        logits = shape_logits(head.module(hidden).float(), head.scale, head.softcap)
        torch.empty_like(logits)  # inside logsumexp
        first = torch.zeros(len(hidden), dtype=torch.long)
        return logits[first, first] - logits.logsumexp(-1)[first]

    # A third chunk keeps no more than a second.
    starts = range(0, len(read_CD), rows)[:2]
    with policy.autocast():
        parts = [
            checkpoint(chunk, read_CD[start : start + rows], use_reentrant=False)
            if torch.is_grad_enabled()
            else chunk(read_CD[start : start + rows])
            for start in starts
        ]
    return torch.cat(parts), None


def own_forward_bytes(policy: Policy, longest: int) -> int:
    """What the proof's plain forward pass of a branch of `longest` tokens takes: its logits over the whole
    vocabulary in fp32, and their log-softmax."""
    if policy.is_reward_model:
        return 0
    return longest * _vocabulary(policy.head.module) * 8


def _vocabulary(module: nn.Module) -> int:
    weight: Tensor = getattr(module, "base_layer", module).weight  # type: ignore[assignment]
    return int(weight.shape[0])
