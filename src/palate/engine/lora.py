"""LoRA that computes in the base's dtype and remembers little.

peft keeps an fp32 adapter over a bf16 base by casting every layer's input to fp32, and autograd then keeps
each of those copies until the backward pass: for query, key and value alone, three copies of one tensor at
twice its size, and fp32 matrix products beside bf16 ones. Here the fp32 weights are cast instead (they are
small), the input is kept as it is (query, key and value share it), and gradients reach the fp32 weights
through one hand-written backward. The numbers are those of mixed precision; in an fp32 model they are peft's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["lighten_lora"]


def lighten_lora(model: nn.Module) -> int:
    """Give every plain LoRA linear of a peft model the lighter forward. Returns how many there were.

    Whatever is not plain (variants such as DoRA, several active adapters, merged weights) keeps peft's own.
    """
    from peft.tuners.lora import LoraLayer

    layers = [
        module
        for module in model.modules()
        if isinstance(module, LoraLayer) and hasattr(module, "lora_A") and len(module.lora_A) and not module.lora_variant
    ]
    for layer in layers:
        layer.forward = _forward(layer, layer.forward)
    return len(layers)


def _forward(layer: Any, heavy: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        adapters = [name for name in layer.active_adapters if name in layer.lora_A]
        if args or kwargs or layer.disable_adapters or layer.merged or len(adapters) != 1:
            return heavy(x, *args, **kwargs)
        (name,) = adapters
        result: Tensor = layer.base_layer(x)
        update = _LoraUpdate.apply(
            layer.lora_dropout[name](x),
            layer.lora_A[name].weight,
            layer.lora_B[name].weight,
            layer.scaling[name],
            result.dtype,
        )
        return result + update

    return forward


class _LoraUpdate(torch.autograd.Function):
    """s B A x, with x [..., in], A [rank, in], B [out, rank]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor, scaling: float, dtype: torch.dtype) -> Tensor:
        a_cast, b_cast = a.to(dtype), b.to(dtype) * scaling
        inner = x.to(dtype) @ a_cast.T
        ctx.save_for_backward(x, inner, a_cast, b_cast)
        ctx.scaling = scaling
        ctx.weight_dtypes = a.dtype, b.dtype
        return inner @ b_cast.T

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, inner, a, b = ctx.saved_tensors
        grad_inner = grad @ b
        grad_x = (grad_inner @ a).to(x.dtype) if ctx.needs_input_grad[0] else None
        rows = x.reshape(-1, x.shape[-1]).to(a.dtype)
        grad_a = grad_inner.reshape(-1, grad_inner.shape[-1]).T @ rows
        grad_b = grad.reshape(-1, grad.shape[-1]).T @ inner.reshape(-1, inner.shape[-1])
        a_dtype, b_dtype = ctx.weight_dtypes
        return grad_x, grad_a.to(a_dtype), grad_b.to(b_dtype) * ctx.scaling, None, None
