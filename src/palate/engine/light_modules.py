"""Norms and gated products that keep for the backward pass only what it cannot compute again in passing.

transformers writes both as a few plain operations, and autograd keeps what each of them needs: of an RMS norm
an fp32 copy of its half-precision input, of a gated MLP the activation beside the gate it came from. Here
each is one function that keeps its inputs, and the forward numbers are the model's own to the last bit. The
product itself, which LoRA on the projection that follows would keep, is made again from the same two inputs.

Nothing is replaced on its name alone: of each class one module is asked for random numbers both ways, and a
class that does not give the same ones is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from palate.engine.lora import remember_how_to_make

__all__ = ["lighten_modules"]


def lighten_modules(model: nn.Module) -> int:
    """Give every RMS norm and gated MLP that can have it the lighter forward. Returns how many there were.

    Whatever computes anything else keeps its own.
    """
    count = 0
    lighter: dict[tuple[Any, ...], type | None] = {}
    for module in model.modules():
        candidates = _candidates(module)
        if not candidates or "forward" in vars(module):  # a wrapper's, on the instance alone
            continue
        # One of a kind speaks for all: they differ in weights alone.
        kind = (type(module), type(getattr(module, "act_fn", None)))
        if kind not in lighter:
            lighter[kind] = next((c for c in candidates if _computes_the_same(module, c)), None)
        found = lighter[kind]
        if found is not None:
            # A class, not a function on the instance: a deep copy would keep calling the original's.
            module.__class__ = found
            count += 1
    return count


def _candidates(module: Any) -> list[type]:
    kind: Any = type(module)
    # Its own parts: peft's wrappers answer for what they wrap.
    own = {*module._modules, *module._parameters, *vars(module)}
    if own >= {"gate_proj", "up_proj", "down_proj", "act_fn"}:
        return [_light_kind(_GatedMLP, kind)]
    if kind.__name__.endswith("RMSNorm") and "weight" in own:
        return [_light_kind(_RMSNorm, kind), _light_kind(_OffsetRMSNorm, kind)]
    return []


@cache
def _light_kind(forward: Any, kind: Any) -> type:
    return type(kind.__name__, (forward, kind), {})


class _GatedMLP:
    """down(act(gate(x)) * up(x)), as in SwiGLU (Shazeer 2020, arXiv:2002.05202) and its relatives."""

    def forward(self: Any, x: Tensor) -> Tensor:
        gate, up = self.gate_proj(x), self.up_proj(x)
        product = _GatedProduct.apply(gate, up, self.act_fn)
        remember_how_to_make(
            product, (gate, up), partial(_product, act=self.act_fn, context=_autocast_as_now(x))
        )
        return self.down_proj(product)


class _RMSNorm:
    """w * x / rms(x) (Zhang & Sennrich 2019, arXiv:1910.07467), rounded before the weight as Llama does."""

    def forward(self: Any, x: Tensor) -> Tensor:
        return _RoundedNorm.apply(x, self.weight, _epsilon(self))


class _OffsetRMSNorm:
    """(1 + w) * x / rms(x), rounded after the weight, as Gemma does."""

    def forward(self: Any, x: Tensor) -> Tensor:
        return _OffsetNorm.apply(x, self.weight, _epsilon(self))


def _epsilon(norm: Any) -> float:
    return float(norm.variance_epsilon if hasattr(norm, "variance_epsilon") else norm.eps)


class _GatedProduct(torch.autograd.Function):
    """act(gate) * up. Keeps gate and up; the activation is computed again."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, act: nn.Module) -> Tensor:
        ctx.save_for_backward(gate, up)
        ctx.act, ctx.context = act, _autocast_as_now(gate)
        return act(gate) * up

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        gate, up = ctx.saved_tensors
        with torch.enable_grad(), ctx.context():
            leaf = gate.detach().requires_grad_()
            activation = ctx.act(leaf)
        (grad_gate,) = torch.autograd.grad(activation, leaf, grad * up)
        return grad_gate, grad * activation.detach(), None


def _product(gate: Tensor, up: Tensor, act: nn.Module, context: Callable[[], torch.autocast]) -> Tensor:
    with context():
        return act(gate) * up


def _autocast_as_now(x: Tensor) -> Callable[[], torch.autocast]:
    """What makes the present mixed precision again: backward passes run outside of it."""
    device = x.device.type
    enabled = torch.is_autocast_enabled(device)
    return partial(torch.autocast, device, dtype=torch.get_autocast_dtype(device), enabled=enabled)


class _RoundedNorm(torch.autograd.Function):
    """w * (x / rms(x)). Keeps x and one number a row.

    With n = x / rms(x) and g the gradient that reaches n,  dx = (g - n mean(g n)) / rms(x).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        normed, inverse_rms = _normed(x, epsilon)
        ctx.save_for_backward(x, weight, inverse_rms)
        return weight * normed.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, weight, inverse_rms = ctx.saved_tensors
        normed = x.float() * inverse_rms
        grad_x = _norm_gradient((grad * weight).to(x.dtype).float(), normed, inverse_rms).to(x.dtype)
        if not ctx.needs_input_grad[1]:
            return grad_x, None, None
        return grad_x, _over_rows(grad * normed.to(x.dtype), weight), None


class _OffsetNorm(torch.autograd.Function):
    """(1 + w) * (x / rms(x)). Keeps x and one number a row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        normed, inverse_rms = _normed(x, epsilon)
        ctx.save_for_backward(x, weight, inverse_rms)
        return (normed * (1.0 + weight.float())).type_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, weight, inverse_rms = ctx.saved_tensors
        normed = x.float() * inverse_rms
        grad_x = _norm_gradient(grad.float() * (1.0 + weight.float()), normed, inverse_rms).to(x.dtype)
        if not ctx.needs_input_grad[1]:
            return grad_x, None, None
        return grad_x, _over_rows(grad.float() * normed, weight), None


def _normed(x: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """x / rms(x) in fp32, and 1 / rms(x)."""
    wide = x.to(torch.float32)
    inverse_rms = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
    return wide * inverse_rms, inverse_rms


def _norm_gradient(grad: Tensor, normed: Tensor, inverse_rms: Tensor) -> Tensor:
    return (grad - normed * (grad * normed).mean(-1, keepdim=True)) * inverse_rms


def _over_rows(grad: Tensor, weight: Tensor) -> Tensor:
    return grad.reshape(-1, grad.shape[-1]).sum(0).to(weight.dtype)


def _computes_the_same(module: Any, lighter: type) -> bool:
    """Whether a module gives the same numbers as one of the lighter kind: to the last bit."""
    own = type(module)
    try:
        rows = _rows_for(module)
        with torch.no_grad():
            expected = module(rows)
            module.__class__ = lighter
            found = module(rows)
    except (AttributeError, TypeError, RuntimeError):  # it is built otherwise
        return False
    finally:
        module.__class__ = own
    return isinstance(found, Tensor) and found.dtype == expected.dtype and torch.equal(found, expected)


def _rows_for(module: Any) -> Tensor:
    """Random numbers that a module takes, of many sizes."""
    is_norm = hasattr(module, "weight")
    weight = module.weight if is_norm else module.up_proj.weight
    width = module.weight.shape[0] if is_norm else module.up_proj.in_features
    dtype = weight.dtype if weight.is_floating_point() else torch.float32
    rows = torch.randn(1, 8, width, generator=torch.Generator().manual_seed(0))
    return (rows * torch.logspace(-3, 2, 8)[:, None]).to(weight.device, dtype)
