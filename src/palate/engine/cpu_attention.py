"""Masked bf16 attention on a CPU for short rows, with a backward pass that uses the matrix units.

torch's fused kernel pads every block of its backward pass to several hundred keys, so a row of 150 tokens
costs what one of 400 does: a fifth of a training step. Rows that short are what grouping pairs by prompt
makes. Here the forward pass stays torch's own, so the numbers are those of the model's own attention; the
backward pass takes the probabilities anew from the saved normaliser, and is otherwise a handful of matrix
products. Longer rows stay with torch, whose blocks then keep in cache what these products would not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["CPU_ATTENTION", "prefer_cpu_attention"]

CPU_ATTENTION = "palate_cpu"
"""The name transformers knows it by, once registered."""

_LONGEST_ROW = 320


def _register() -> None:
    """Make it known to transformers. Whatever is not a short row under a mask goes to plain sdpa."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(CPU_ATTENTION, _attention)
    AttentionMaskInterface.register(CPU_ATTENTION, sdpa_mask)


def prefer_cpu_attention(model: Any, attention: str, device: torch.device) -> None:
    """Give a model this kernel where it would use torch's on a CPU."""
    if attention == "sdpa" and device.type == "cpu":
        _register()
        model.set_attn_implementation(CPU_ATTENTION)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    plain = not dropout and kwargs.get("position_bias") is None and kwargs.get("softcap") is None
    if plain and attention_mask is not None and _is_short_row(query, key, value, attention_mask):
        scale = scaling if scaling is not None else query.shape[-1] ** -0.5
        output = _ShortRow.apply(query, key, value, attention_mask, scale)
        return output.transpose(1, 2).contiguous(), None
    return sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
    )


def _is_short_row(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> bool:
    return (
        mask.dtype == torch.bool
        and query.shape[0] == mask.shape[0] == 1
        and query.shape[-2] == key.shape[-2] <= _LONGEST_ROW
        and query.shape[-1] == value.shape[-1]
        and query.dtype == torch.bfloat16  # in fp32 torch's kernel has no such trouble
        and query.device.type == "cpu"
    )


class _ShortRow(torch.autograd.Function):
    """softmax(scale q k' + mask) v, with q [1, H, N, D] and k, v [1, K, N, D], H a multiple of K.

    With P the probabilities, O the output and gradients written d:

        dV = P' dO,   dP = dO V',   dS = P * (dP - rowsum(dO * O)),   dQ = scale dS K,   dK = scale dS' Q

    (Dao et al. 2022, arXiv:2205.14135, appendix B.2).
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
        groups = q.shape[1] // k.shape[1]
        added = torch.zeros(mask.shape, dtype=q.dtype).masked_fill_(~mask, -torch.inf)
        output, log_norm = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q,
            k.repeat_interleave(groups, 1),
            v.repeat_interleave(groups, 1),
            attn_mask=added.expand(-1, q.shape[1], -1, -1),
            scale=scale,
        )
        ctx.save_for_backward(q, k, v, mask, output, log_norm)
        ctx.scale = scale
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, mask, output, log_norm = ctx.saved_tensors
        (grad,) = grads
        num_kv, n, width = k.shape[1:]
        # Query heads of one key-value head stand under one another: their sums come out of the products.
        rows = (num_kv, q.shape[1] // num_kv * n)
        q_, grad_ = q.reshape(*rows, width), grad.reshape(*rows, width)
        shift = (grad * output).sum(-1, dtype=torch.float32).reshape(*rows, 1)
        # Scores in fp32, as the forward kernel had them: rounded, they would not match their normaliser.
        scores = q_.float() @ k[0].float().mT
        scores.mul_(ctx.scale).sub_(log_norm.reshape(*rows, 1))
        p = scores.view(num_kv, -1, n, n).masked_fill_(~mask[0], -torch.inf).exp_().view(*rows, n)
        dv = p.to(v.dtype).mT @ grad_
        ds = (grad_ @ v[0].mT).float().sub_(shift).mul_(p).mul_(ctx.scale).to(q.dtype)
        return (ds @ k[0]).view(q.shape), (ds.mT @ q_)[None], dv[None], None, None
