"""LoRA that computes in the base's dtype and remembers little.

peft keeps an fp32 adapter over a bf16 base by casting every layer's input to fp32, and autograd then keeps
each of those copies until the backward pass: for query, key and value alone, three copies of one tensor at
twice its size, and fp32 matrix products beside bf16 ones. Here the fp32 weights are cast instead (they are
small), the input is kept as it is (query, key and value share it), and gradients reach the fp32 weights
through one hand-written backward. The numbers are those of mixed precision; in an fp32 model they are peft's.

Where the input is the product of a gated MLP, not even that is kept (`light_modules.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["lighten_lora", "remember_how_to_make"]

_RECIPE = "palate_made_from"

# The kinds of peft layer whose forward is base(x) + s B A dropout(x). Those for embeddings, convolutions and
# bare parameters are something else.
_PLAIN_KINDS = {"Linear", "Linear4bit", "Linear8bitLt"}


def lighten_lora(model: nn.Module) -> int:
    """Give every plain LoRA linear of a peft model the lighter forward. Returns how many there were.

    Whatever is not plain (variants such as DoRA, several active adapters, merged weights) keeps peft's own.
    """
    from peft.tuners.lora import LoraLayer

    layers = [m for m in model.modules() if isinstance(m, LoraLayer) and type(m).__name__ in _PLAIN_KINDS]
    for layer in layers:
        # A class, not a function on the instance: a deep copy would keep calling the original's.
        kind: Any = type(layer)
        layer.__class__ = _light_kind(kind)
    return sum(_is_plain(layer, name) for layer in layers for name in layer.lora_A)


def remember_how_to_make(x: Tensor, parts: tuple[Tensor, ...], make: Callable[..., Tensor]) -> None:
    """Let LoRA on `x` keep `parts` for the backward pass instead, and make `x = make(*parts)` again.

    For an `x` that is cheaply made from what is kept in any case.
    """
    setattr(x, _RECIPE, (tuple(part.detach() for part in parts), make))


class _LightForward:
    """Goes before a peft layer's own class, to which it leaves everything else."""

    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        adapters = [name for name in self.active_adapters if name in self.lora_A]
        unusual = args or kwargs or self.disable_adapters or self.merged or len(adapters) != 1
        if unusual or not _is_plain(self, adapters[0]):
            return super().forward(x, *args, **kwargs)  # type: ignore[misc]
        (name,) = adapters
        result: Tensor = self.base_layer(x)
        dropped = self.lora_dropout[name](x)  # x itself where there is no dropout
        update = _LoraUpdate.apply(
            dropped,
            self.lora_A[name].weight,
            self.lora_B[name].weight,
            self.scaling[name],
            result.dtype,
            getattr(dropped, _RECIPE, None),
        )
        return result + update


@cache
def _light_kind(kind: Any) -> Any:
    return type(kind.__name__, (_LightForward, kind), {})


def _is_plain(layer: Any, name: str) -> bool:
    return name not in layer.lora_variant and layer.lora_B[name].bias is None


class _LoraUpdate(torch.autograd.Function):
    """s B A x, with x [..., in], A [rank, in], B [out, rank]."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, a: Tensor, b: Tensor, scaling: float, dtype: torch.dtype, recipe: Any
    ) -> Tensor:
        inner = x.to(dtype) @ a.to(dtype).T
        # The weights as they are, which takes no memory: the casts of all layers together would.
        parts, ctx.make = recipe or ((x,), None)
        ctx.save_for_backward(inner, a, b, *parts)
        ctx.scaling, ctx.dtype = scaling, dtype
        return inner @ (b * scaling).to(dtype).T

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        inner, a, b, *parts = ctx.saved_tensors
        x = ctx.make(*parts) if ctx.make is not None else parts[0]
        grad_inner = grad @ (b * ctx.scaling).to(ctx.dtype)
        grad_x = (grad_inner @ a.to(ctx.dtype)).to(x.dtype) if ctx.needs_input_grad[0] else None
        rows = x.reshape(-1, x.shape[-1]).to(ctx.dtype)
        grad_a = grad_inner.reshape(-1, grad_inner.shape[-1]).T @ rows
        grad_b = grad.reshape(-1, grad.shape[-1]).T @ inner.reshape(-1, inner.shape[-1])
        return grad_x, grad_a.to(a.dtype), grad_b.to(b.dtype) * ctx.scaling, None, None, None
