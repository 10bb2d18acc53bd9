"""Lighter norms and gated products: the model's own numbers, from less memory; and what is left alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from saved_tensors import bytes_saved
from tiny_folder import save_tiny
from tiny_models import ARCHITECTURES, awaken_adapter, tiny_config, tiny_model
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from palate.engine import load_policy
from palate.engine.light_modules import _GatedMLP, _OffsetRMSNorm, _RMSNorm, lighten_modules
from palate.engine.lora import lighten_lora
from palate.recipe import ModelOptions

IDS = torch.arange(3, 40).reshape(1, -1)
# Per layer: gated MLP, norms, and in some architectures norms of queries and keys; and a last norm.
LIGHT = {
    "llama": 2 * (1 + 2) + 1,
    "qwen2": 2 * (1 + 2) + 1,
    "qwen2-sliding": 2 * (1 + 2) + 1,
    "qwen3": 2 * (1 + 2 + 2) + 1,
    "mistral-sliding": 2 * (1 + 2) + 1,
    "gemma2": 2 * (1 + 4) + 1,
    "gemma3": 2 * (1 + 4 + 2) + 1,
    "olmo2": 2 * (1 + 2 + 2) + 1,
    "granite": 2 * (1 + 2) + 1,
}


def model_of(name: str, dtype: torch.dtype = torch.float32) -> Any:
    return tiny_model(tiny_config(name), "eager", dtype)


def out_and_gradients(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Logits, and gradients of every weight and of the embeddings that go in."""
    embedded = model.get_input_embeddings()(IDS).detach().requires_grad_()
    logits = model(inputs_embeds=embedded).logits
    weights = torch.sin(torch.arange(logits.numel(), dtype=torch.float32)).view_as(logits)
    wanted = [p for p in model.parameters() if p is not model.get_input_embeddings().weight]
    grads = torch.autograd.grad((logits.float() * weights).sum(), [embedded, *wanted], allow_unused=True)
    return logits.detach(), torch.cat([g.flatten().float() for g in grads if g is not None])


def test_every_architecture_is_looked_at() -> None:
    assert set(ARCHITECTURES) <= set(LIGHT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", LIGHT)
def test_the_models_own_numbers(name: str, dtype: torch.dtype) -> None:
    """Forwards to the last bit; backwards within rounding of fp32, of which a half-precision sum has none."""
    model = model_of(name, dtype)
    expected = out_and_gradients(model)
    # Olmo rounds after the weight, which only shows where something is rounded: its norms are left alone.
    rounds_otherwise = name == "olmo2" and dtype == torch.bfloat16
    assert lighten_modules(model) == (2 if rounds_otherwise else LIGHT[name])
    found = out_and_gradients(model)
    assert torch.equal(found[0], expected[0])
    distance = (found[1] - expected[1]).norm() / expected[1].norm()
    assert distance < (1e-6 if dtype == torch.float32 else 1e-3)


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_under_autocast(name: str) -> None:
    """As in full fine-tuning: fp32 weights, bf16 products."""
    model = model_of(name)
    with torch.autocast("cpu", torch.bfloat16):
        expected = out_and_gradients(model)
        assert lighten_modules(model) == LIGHT[name]
        found = out_and_gradients(model)
    assert torch.equal(found[0], expected[0])
    assert (found[1] - expected[1]).norm() / expected[1].norm() < 1e-3


@pytest.mark.parametrize(
    ("kind", "weight"), [(_RMSNorm, "weight"), (_OffsetRMSNorm, "1 + weight")], ids=["rounded", "offset"]
)
@pytest.mark.parametrize("trained", [True, False])
def test_norm_gradients_in_float64(kind: Any, weight: str, trained: bool) -> None:
    """Against the formula differentiated by autograd, with fp32's own error as the bound."""
    norm = LlamaRMSNorm(24)
    norm.weight = nn.Parameter(torch.randn(24), requires_grad=trained)
    norm.__class__ = type("Light", (kind, LlamaRMSNorm), {})
    x = (torch.randn(3, 5, 24) * 4).requires_grad_()
    wide, own = x.detach().double().requires_grad_(), norm.weight.detach().double().requires_grad_()
    factor = own if weight == "weight" else 1 + own
    exact = factor * wide * (wide.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon).rsqrt()
    slopes = torch.randn(3, 5, 24)
    (norm(x) * slopes).sum().backward()
    (exact * slopes).sum().backward()
    assert (x.grad - wide.grad).norm() / wide.grad.norm() < 1e-6  # type: ignore[operator, union-attr]
    if trained:
        assert (norm.weight.grad - own.grad).norm() / own.grad.norm() < 1e-6  # type: ignore[operator, union-attr]
    else:
        assert norm.weight.grad is None


def test_what_is_kept_for_the_backward_pass() -> None:
    """A frozen norm keeps its input and a number a row, a gated product its two sides."""
    tokens, width, inner = 50, 32, 48
    norm = LlamaRMSNorm(width).bfloat16().requires_grad_(False)
    mlp = LlamaMLP(tiny_config("llama")).bfloat16().requires_grad_(False)
    x = torch.randn(1, tokens, width, dtype=torch.bfloat16, requires_grad=True)
    before = [bytes_saved(lambda m=module: m(x), module) for module in (norm, mlp)]
    assert [lighten_modules(module) for module in (norm, mlp)] == [1, 1]
    after = [bytes_saved(lambda m=module: m(x), module) for module in (norm, mlp)]
    assert before == [tokens * (4 * width + 4), tokens * 3 * 2 * inner]
    assert after == [tokens * (2 * width + 4), tokens * 2 * 2 * inner]


def mlp_under_lora(light: bool, dropout: float = 0.0) -> tuple[nn.Module, Tensor]:
    """A frozen bf16 MLP with fp32 LoRA of rank 4 on its three projections, and something for it to take."""
    torch.manual_seed(0)
    mlp = LlamaMLP(tiny_config("llama")).bfloat16().requires_grad_(False)
    if light:
        assert lighten_modules(mlp) == 1
    how = LoraConfig(r=4, lora_dropout=dropout, target_modules=["gate_proj", "up_proj", "down_proj"])
    adapted = get_peft_model(mlp, how).train()
    awaken_adapter(adapted)
    lighten_lora(adapted)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted, torch.randn(1, 50, 32, dtype=torch.bfloat16, requires_grad=True)


def test_lora_on_the_product_does_not_keep_it() -> None:
    """Only the input, the two sides, and LoRA's inner products: 32, 2 x 48 and 3 x 4 numbers a token."""
    kept = {}
    for light in (False, True):
        adapted, x = mlp_under_lora(light)
        kept[light] = bytes_saved(lambda: adapted(x), adapted)  # noqa: B023
    assert kept[True] == 50 * 2 * (32 + 2 * 48 + 3 * 4)
    assert kept[False] == kept[True] + 50 * 2 * (2 * 48)  # the activation and the product


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_lora_on_the_product_has_the_same_gradients(dropout: float) -> None:
    found = []
    for light in (False, True):
        adapted, x = mlp_under_lora(light, dropout)
        torch.manual_seed(1)
        out = adapted(x)
        wanted = [x, *(p for p in adapted.parameters() if p.requires_grad)]
        grads = torch.autograd.grad((out.float() ** 2).sum(), wanted)
        found.append([out, *grads])
    assert len(found[0]) == 1 + 1 + 6
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
        assert one.abs().max() > 0


# --- what is left alone -------------------------------------------------------------------------------------


class HalvedRMSNorm(LlamaRMSNorm):
    """Has the name and the parts, and computes something else."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        return super().forward(hidden_states) / 2


class UngatedMLP(LlamaMLP):
    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.act_fn(self.gate_proj(x) * self.up_proj(x)))


class TwoSidedMLP(LlamaMLP):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return super().forward(x) + y


@pytest.mark.parametrize(
    "module",
    [
        HalvedRMSNorm(8),
        UngatedMLP(tiny_config("llama")),
        TwoSidedMLP(tiny_config("llama")),
        nn.LayerNorm(8),
        nn.Linear(3, 3),
    ],
    ids=lambda module: type(module).__name__,
)
def test_another_computation_keeps_its_own(module: nn.Module) -> None:
    before = type(module)
    assert lighten_modules(module) == 0
    assert type(module) is before


def test_a_wrapped_forward_keeps_its_own() -> None:
    norm: Any = LlamaRMSNorm(8)
    norm.forward = lambda x: x
    assert lighten_modules(norm) == 0


def test_an_activation_with_a_gradient_of_its_own() -> None:
    """Two MLPs of one class and other activations are looked at apart."""
    for name in ("relu", "gelu_pytorch_tanh", "silu"):
        model = tiny_model(tiny_config("llama", hidden_act=name), "eager")
        expected = out_and_gradients(model)
        assert lighten_modules(model) == LIGHT["llama"]
        found = out_and_gradients(model)
        assert torch.equal(found[0], expected[0])
        assert (found[1] - expected[1]).norm() / expected[1].norm() < 1e-6


def test_a_copy_stands_by_itself() -> None:
    model = model_of("llama")
    lighten_modules(model)
    other = copy.deepcopy(model)
    before = out_and_gradients(other)[0]
    for parameter in model.parameters():
        parameter.data.mul_(2)
    assert torch.equal(out_and_gradients(other)[0], before)


# --- in the engine ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"quantization": {}}, {"dtype": "bfloat16"}])
def test_loaded_models_are_light(tmp_path: Path, changes: dict[str, Any]) -> None:
    options = ModelOptions.model_validate({"base": str(save_tiny(tmp_path))} | changes)
    kinds = (_GatedMLP, _RMSNorm, _OffsetRMSNorm)
    assert sum(isinstance(m, kinds) for m in load_policy(options).model.modules()) == LIGHT["llama"]
