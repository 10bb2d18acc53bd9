from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from palate.engine import head as head_module
from palate.engine.head import LanguageHead

WIDTH, VOCABULARY, CONTEXTS = 6, 11, 7

SHAPES = [{}, {"final_logit_softcapping": 3.0}, {"logit_scale": 0.25}, {"logits_scaling": 8.0}]
SHAPE_IDS = ["plain", "soft cap", "multiplied", "divided"]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two contexts a chunk: seven contexts make four chunks, the last of them short."""
    monkeypatch.setattr(head_module, "CHUNK_ELEMENTS", 2 * VOCABULARY)


def problem(dtype: torch.dtype = torch.float32) -> tuple[Tensor, nn.Linear, Tensor, Tensor]:
    """Hidden states, a head, and edges: some contexts have several, and one edge of them is there twice."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(CONTEXTS, WIDTH, generator=generator, dtype=torch.float64).to(dtype)
    linear = nn.Linear(WIDTH, VOCABULARY, bias=False)
    linear.weight.data = torch.randn(VOCABULARY, WIDTH, generator=generator, dtype=torch.float64).to(dtype)
    context = torch.tensor([0, 0, 0, 1, 2, 3, 3, 4, 5, 6, 6])
    target = torch.tensor([1, 4, 4, 10, 0, 2, 3, 5, 6, 7, 0])
    return hidden.requires_grad_(), linear, context, target


def plainly(
    hidden: Tensor, linear: nn.Linear, context: Tensor, target: Tensor, shape: dict[str, float]
) -> Tensor:
    """All logits at once, in float64."""
    logits = hidden.double() @ linear.weight.double().T
    if linear.bias is not None:
        logits = logits + linear.bias.double()
    logits = logits * shape.get("logit_scale", 1.0) / shape.get("logits_scaling", 1.0)
    if cap := shape.get("final_logit_softcapping"):
        logits = torch.tanh(logits / cap) * cap
    return logits.log_softmax(-1)[context, target]


def config(shape: dict[str, float]) -> Any:
    return SimpleNamespace(**shape)


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_IDS)
@pytest.mark.parametrize("frozen", [True, False])
def test_chunks_give_the_log_softmax_and_its_gradient(shape: dict[str, float], frozen: bool) -> None:
    hidden, linear, context, target = problem()
    linear.requires_grad_(not frozen)
    leaves = [hidden] if frozen else [hidden, linear.weight]
    weights = torch.linspace(-2, 3, len(target))
    ours = LanguageHead(linear, config(shape)).edges(hidden, context, target).logps_E
    expected = plainly(hidden, linear, context, target, shape)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), expected, rtol=0, atol=2e-6)
    our_grads = torch.autograd.grad((ours * weights).sum(), leaves)
    expected_grads = torch.autograd.grad((expected * weights).sum(), leaves)
    for mine, other in zip(our_grads, expected_grads, strict=True):
        assert (mine - other).norm() / other.norm() < 1e-6


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_IDS)
def test_the_hand_written_gradient_is_the_slope(shape: dict[str, float]) -> None:
    """Central differences of a float64 computation: independent of every derivative in this file."""
    hidden, linear, context, target = problem()
    linear.requires_grad_(False)
    ours = LanguageHead(linear, config(shape)).edges(hidden, context, target).logps_E
    weights = torch.linspace(-2, 3, len(target), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((ours * weights).sum(), hidden)
    step = 1e-6
    for place in range(CONTEXTS * WIDTH):
        moved = []
        for sign in (1, -1):
            point = hidden.detach().double().clone()
            point.view(-1)[place] += sign * step
            moved.append((plainly(point, linear, context, target, shape) * weights).sum())
        slope = (moved[0] - moved[1]) / (2 * step)
        assert abs(gradient.view(-1)[place] - slope) < 1e-4


def test_a_frozen_head_gets_no_gradient_and_keeps_no_logits() -> None:
    hidden, linear, context, target = problem()
    linear.requires_grad_(False)
    ours = LanguageHead(linear, config({})).edges(hidden, context, target).logps_E
    ours.sum().backward(retain_graph=True)
    assert linear.weight.grad is None
    saved = [tensor for tensor in ours.grad_fn.saved_tensors if tensor is not None]  # type: ignore[union-attr]
    largest = max(tensor.numel() for tensor in saved if tensor.shape != linear.weight.shape)
    assert largest == CONTEXTS * WIDTH < CONTEXTS * VOCABULARY


def test_the_graph_may_be_gone_through_twice() -> None:
    hidden, linear, context, target = problem()
    linear.requires_grad_(False)
    ours = LanguageHead(linear, config({})).edges(hidden, context, target).logps_E.sum()
    first, second = (torch.autograd.grad(ours, hidden, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_only_a_chunk_of_logits_is_ever_there(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    linear_map = head_module.F.linear

    def spy(hidden: Tensor, weight: Tensor) -> Tensor:
        rows.append(hidden.shape[0])
        return linear_map(hidden, weight)

    monkeypatch.setattr(head_module.F, "linear", spy)
    hidden, linear, context, target = problem()
    linear.requires_grad_(False)
    LanguageHead(linear, config({})).edges(hidden, context, target)
    assert rows == [2, 2, 2, 1]


def test_a_head_with_a_bias_goes_by_autograd() -> None:
    hidden, _, context, target = problem()
    torch.manual_seed(0)
    linear = nn.Linear(WIDTH, VOCABULARY).requires_grad_(False)
    ours = LanguageHead(linear, config({})).edges(hidden, context, target).logps_E
    expected = plainly(hidden, linear, context, target, {})
    torch.testing.assert_close(ours.double(), expected, rtol=0, atol=2e-6)
    mine, other = (torch.autograd.grad(value.sum(), hidden)[0] for value in (ours, expected))
    assert (mine - other).norm() / other.norm() < 1e-6


@pytest.mark.parametrize("frozen", [True, False])
def test_bf16_weights_give_fp32_log_probabilities(frozen: bool) -> None:
    """Only the matrix product is in bf16: its rounding (2^-9 of logits of about 10) is all the difference."""
    hidden, linear, context, target = problem(torch.bfloat16)
    linear.requires_grad_(not frozen)
    ours = LanguageHead(linear, config({})).edges(hidden, context, target).logps_E
    expected = plainly(hidden, linear, context, target, {})
    assert ours.dtype == torch.float32
    assert (ours - expected).abs().max() < 0.06
    mine, other = (torch.autograd.grad(value.sum(), hidden)[0] for value in (ours, expected))
    assert mine.dtype == torch.bfloat16
    assert (mine - other).norm() / other.norm() < 0.02


def test_nothing_asked_nothing_computed() -> None:
    _, linear, _, _ = problem()
    empty = torch.empty(0, dtype=torch.long)
    assert LanguageHead(linear, config({})).edges(torch.empty(0, WIDTH), empty, empty).logps_E.shape == (0,)
