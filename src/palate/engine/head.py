"""Log-probabilities of edges from hidden states, without a full [tokens, vocabulary] tensor.

Trainers spend most of their memory on logits they throw away: prompt tokens', whole vocabularies', all at
once, in fp32, with their gradients. Here only context nodes reach the head, a few hundred at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

__all__ = ["Edges", "LanguageHead", "log_collision"]

# Elements of one chunk of logits: 64 MiB of them in fp32, whatever the vocabulary.
CHUNK_ELEMENTS = 2**24


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """What the head says of edges and of the contexts they leave from.

    logps_E: fp32 [E], carrying the gradient. log_collision_C: fp32 [C], constant: log sum_v p(v)^2 of each
    context's next-token distribution; None where it was not asked for.
    """

    logps_E: Tensor
    log_collision_C: Tensor | None = None


def log_collision(probabilities: Tensor) -> Tensor:
    """log sum_v p(v)^2 along the last dimension: [..., V] to [...].

    With V tokens the sum is at least 1 / V, so fp32 never underflows where it matters.
    """
    return torch.linalg.vector_norm(probabilities, dim=-1).log() * 2


class LanguageHead:
    """The map from hidden states to next-token log-probabilities of one causal language model.

    Knows the three things models do to their logits after the matrix product: a soft cap (Gemma 2), a
    multiplier (Cohere) and a divisor (Granite). The first-batch proof compares against the model's own
    forward pass, so a model that does a fourth thing is found out, not trained wrongly.
    """

    def __init__(self, module: nn.Module, config: Any) -> None:
        self.module = module
        self.softcap: float | None = getattr(config, "final_logit_softcapping", None)
        scale = getattr(config, "logit_scale", None) or 1.0
        self.scale = float(scale) / float(getattr(config, "logits_scaling", None) or 1.0)

    def edges(
        self, hidden_CD: Tensor, edge_context_E: Tensor, edge_target_E: Tensor, *, collision: bool = False
    ) -> Edges:
        """Log-probability of each edge, and with `collision` what `Edges` holds besides.

        hidden_CD: hidden states of the context nodes, after the final norm.
        edge_context_E: which context an edge leaves from, ascending. edge_target_E: the token it leads to.
        """
        if hidden_CD.shape[0] == 0:
            nothing = hidden_CD.new_zeros(0, dtype=torch.float32)
            return Edges(nothing, nothing if collision else None)
        if self.is_plain_and_frozen():
            head = self.module.weight, self.scale, self.softcap
            logps_E, log_collision_C = _FrozenHead.apply(
                hidden_CD, edge_context_E, edge_target_E, *head, collision
            )
            return Edges(logps_E, log_collision_C)
        return self._by_autograd(hidden_CD, edge_context_E, edge_target_E, collision)

    @property
    def vocabulary(self) -> int:
        """How many tokens it tells apart, those of a padded matrix included."""
        weight = getattr(self.module, "weight", None)
        return int(getattr(self.module, "out_features", 0) or (weight.shape[0] if weight is not None else 0))

    def is_plain_and_frozen(self) -> bool:
        if type(self.module) is not nn.Linear or getattr(self.module, "bias", None) is not None:
            return False
        return not (self.module.weight.requires_grad and torch.is_grad_enabled())

    def _by_autograd(
        self, hidden_CD: Tensor, edge_context_E: Tensor, edge_target_E: Tensor, collision: bool
    ) -> Edges:
        """Any head: trained, with a bias, quantised, with LoRA. Backward computes each chunk anew."""
        vocabulary = int(getattr(self.module, "out_features", 0)) or 65536

        def chunk(hidden: Tensor, context: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
            logits = shape_logits(self.module(hidden).float(), self.scale, self.softcap)
            log_norm = logits.logsumexp(-1)
            logps = logits[context, target] - log_norm[context]
            if not collision:
                return logps, None
            return logps, log_collision((logits.detach() - log_norm.detach()[:, None]).exp_())

        parts = []
        for start, stop, edges in _chunks(hidden_CD.shape[0], vocabulary, edge_context_E):
            args = (hidden_CD[start:stop], edge_context_E[edges] - start, edge_target_E[edges])
            if torch.is_grad_enabled():
                parts.append(checkpoint(chunk, *args, use_reentrant=False))
            else:
                parts.append(chunk(*args))
        logps, collisions = zip(*parts, strict=True)
        return Edges(torch.cat(logps), torch.cat(collisions) if collision else None)


class _FrozenHead(torch.autograd.Function):
    """A head without weight gradient, one pass over the vocabulary forwards and none backwards.

    With p_c the softmax at context c, an edge e = (c, t) has  d logp_e / d h_c = W_t - p_c W,  so

        d L / d h_c = sum_{e at c} g_e W_t(e) - (sum_{e at c} g_e) p_c W.

    The expensive product p_c W does not depend on the incoming gradient g: it is taken in the forward pass,
    while the chunk's softmax is at hand, and only [C, D] is kept. Recomputing logits in the backward pass, as
    is usual, would cost one more product over the whole vocabulary.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_CD: Tensor,
        edge_context_E: Tensor,
        edge_target_E: Tensor,
        weight_VD: Tensor,
        scale: float,
        softcap: float | None,
        collision: bool,
    ) -> tuple[Tensor, Tensor | None]:
        needs_grad = ctx.needs_input_grad[0]
        device = hidden_CD.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight_VD.dtype
        hidden, weight = hidden_CD.to(dtype), weight_VD.to(dtype)
        logps, means, slopes, collisions = [], [], [], []
        for start, stop, edges in _chunks(hidden.shape[0], weight.shape[0], edge_context_E):
            context, target = edge_context_E[edges] - start, edge_target_E[edges]
            logits = shape_logits(F.linear(hidden[start:stop], weight).float(), scale, softcap)
            log_norm = logits.logsumexp(-1, keepdim=True)
            edge_logits = logits[context, target]
            logps.append(edge_logits - log_norm[context, 0])
            if not (needs_grad or collision):
                continue
            slope = 1 - (logits / softcap) ** 2 if needs_grad and softcap is not None else None
            probabilities = logits.sub_(log_norm).exp_()
            if collision:
                collisions.append(log_collision(probabilities))
            if needs_grad:
                if softcap is not None and slope is not None:
                    slopes.append(1 - (edge_logits / softcap) ** 2)
                    probabilities.mul_(slope)
                means.append(probabilities.to(dtype) @ weight)
        if needs_grad:
            slope_E = torch.cat(slopes) if slopes else None
            ctx.save_for_backward(torch.cat(means), weight_VD, edge_context_E, edge_target_E, slope_E)
            ctx.scale, ctx.dtype = scale, hidden_CD.dtype
        if not collision:
            return torch.cat(logps), None
        log_collision_C = torch.cat(collisions)
        ctx.mark_non_differentiable(log_collision_C)
        return torch.cat(logps), log_collision_C

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_E = grads[0]  # of the log-probabilities; the other output is a constant
        mean_CD, weight_VD, edge_context_E, edge_target_E, slope_E = ctx.saved_tensors
        grad_E = grad_E.float()
        total_C = grad_E.new_zeros(mean_CD.shape[0]).index_add_(0, edge_context_E, grad_E)
        pull_E = grad_E if slope_E is None else grad_E * slope_E
        # Not in place: a graph may be gone through twice.
        grad_CD = (mean_CD * -total_C[:, None]).float()
        grad_CD.index_add_(0, edge_context_E, weight_VD[edge_target_E].float() * pull_E[:, None])
        return (grad_CD.mul_(ctx.scale).to(ctx.dtype), None, None, None, None, None, None)


def shape_logits(logits: Tensor, scale: float, softcap: float | None) -> Tensor:
    """What the model does to its logits after the matrix product. May work in place."""
    if scale != 1.0:
        logits = logits * scale
    if softcap is not None:
        logits = torch.tanh(logits / softcap) * softcap
    return logits


def _chunks(num_contexts: int, vocabulary: int, edge_context_E: Tensor) -> list[tuple[int, int, slice]]:
    """(first context, one past the last, their edges) of each chunk; edges are sorted by context."""
    rows = max(1, CHUNK_ELEMENTS // vocabulary)
    starts = list(range(0, num_contexts, rows))
    bounds = torch.tensor([*starts, num_contexts], device=edge_context_E.device)
    edges = torch.searchsorted(edge_context_E, bounds).tolist()
    return [
        (start, min(start + rows, num_contexts), slice(edges[i], edges[i + 1]))
        for i, start in enumerate(starts)
    ]
