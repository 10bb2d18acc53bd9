"""Short masked rows on a CPU: forwards torch's own numbers, gradients as near the exact ones as torch's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from palate.engine import cpu_attention
from palate.engine.attention import visible

HEADS, KV_HEADS, WIDTH = 6, 2, 16


def row(n: int, size: float = 1.0) -> tuple[list[Tensor], Tensor, Tensor]:
    """q, k, v of n tokens; the mask of a tree of two branches; a gradient."""
    generator = torch.Generator().manual_seed(n)
    shapes = [(1, heads, n, WIDTH) for heads in (HEADS, KV_HEADS, KV_HEADS, HEADS)]
    q, k, v, grad = ((torch.randn(s, generator=generator) * size).to(torch.bfloat16) for s in shapes)
    fork, left = n // 2, n // 4
    end = torch.full((n,), n)
    end[fork : fork + left] = fork + left
    depth = torch.arange(n)
    depth[fork + left :] -= left
    return [x.requires_grad_() for x in (q, k, v)], visible(end, depth)[None, None], grad


def attend(tensors: list[Tensor], mask: Tensor) -> Tensor:
    module = SimpleNamespace(num_key_value_groups=HEADS // KV_HEADS)
    q, k, v = tensors
    return cpu_attention._attention(module, q, k, v, mask, scaling=0.3)[0].transpose(1, 2)  # type: ignore[arg-type]


def exact(tensors: list[Tensor], mask: Tensor) -> Tensor:
    """The same in float64, written out."""
    q, k, v = (x.double() for x in tensors)
    k, v = (x.repeat_interleave(HEADS // KV_HEADS, 1) for x in (k, v))
    scores = (q @ k.mT * 0.3).masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v


def relative(a: Tensor, b: Tensor) -> float:
    a, b = a.detach().double(), b.detach().double()
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("n", [2, 33, 150, cpu_attention._LONGEST_ROW])
def test_gradients_are_within_bf16_of_the_exact_ones(n: int) -> None:
    tensors, mask, grad = row(n)
    output = attend(tensors, mask)
    assert type(output.grad_fn).__name__ == "TransposeBackward0"
    ours = torch.autograd.grad(output, tensors, grad)
    truth = [x.detach().double().requires_grad_() for x in tensors]
    wanted = torch.autograd.grad(exact(truth, mask), truth, grad.double())
    assert relative(output, exact(tensors, mask)) < 0.01
    for mine, right in zip(ours, wanted, strict=True):
        assert relative(mine, right) < 0.015


def test_the_forward_pass_is_torchs_own_to_the_last_bit() -> None:
    tensors, mask, _ = row(100)
    q, k, v = tensors
    k, v = (x.repeat_interleave(HEADS // KV_HEADS, 1) for x in (k, v))
    torchs = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.3)
    assert torch.equal(attend(tensors, mask), torchs)


def test_a_hidden_token_with_a_huge_score_changes_nothing() -> None:
    """exp of what may not be seen would overflow: it must be masked before, not after."""
    tensors, mask, grad = row(64)
    tensors[1].data[:, :, -1] = 3e4
    gradients = torch.autograd.grad(attend(tensors, mask)[:, :, :-1], tensors, grad[:, :, :-1])
    assert all(bool(g.isfinite().all()) for g in gradients)
    assert not gradients[1][:, :, -1].any()


@pytest.mark.parametrize("case", ["long", "fp32"])
def test_everything_else_is_left_to_torch(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("not for this one")

    monkeypatch.setattr(cpu_attention._ShortRow, "apply", refuse)
    tensors, mask, _ = row(cpu_attention._LONGEST_ROW + 1 if case == "long" else 20)
    if case == "fp32":
        tensors = [x.float() for x in tensors]
    assert attend(tensors, mask).isfinite().all()
    with pytest.raises(AssertionError, match="not for this one"):
        attend(row(20)[0], row(20)[1])
