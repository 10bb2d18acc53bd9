"""A base in four bits: which layers, how many bytes, the same numbers every way they are computed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, get_peft_model
from tiny_folder import save_tiny
from tiny_models import awaken_adapter, branch, tokens
from torch import Tensor, nn
from transformers import BitsAndBytesConfig

from palate.engine import (
    Branch,
    Policy,
    branch_logps,
    load_policy,
    load_trained,
    own_forward_logps,
    prove_layout,
)
from palate.engine.adapter import add_lora
from palate.engine.lora import lighten_lora
from palate.errors import ModelError, RecipeError
from palate.recipe import LoraOptions, ModelOptions, parse_recipe

NF4 = {"type": "nf4", "double": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with an untied head, wide enough for whole blocks of 64 weights."""
    width = {"hidden_size": 128, "intermediate_size": 192, "head_dim": 32, "initializer_range": 0.1}
    return save_tiny(tmp_path_factory.mktemp("wide"), "llama", **width)


def options(folder: Path, **changes: Any) -> ModelOptions:
    return ModelOptions.model_validate(
        {"base": str(folder), "quantization": NF4, "adapter": {"rank": 4}} | changes
    )


def policy_of(folder: Path, **changes: Any) -> Policy:
    """In training mode, its adapter awake."""
    policy = load_policy(options(folder, **changes))
    awaken_adapter(policy.model)
    return policy


def pairs() -> list[Branch]:
    rng = np.random.default_rng(0)
    prompt, start = tokens(rng, 11), tokens(rng, 3)
    return [branch(prompt, [*start, *tokens(rng, 7)]), branch(prompt, [*start, *tokens(rng, 4)])]


def gradients(policy: Policy, layout: Any = "tree") -> Tensor:
    policy.model.zero_grad()
    logps = branch_logps(policy, pairs(), layout).per_token_logps_S
    (logps * torch.sin(torch.arange(len(logps), dtype=torch.float32))).sum().backward()
    return torch.cat([p.grad.flatten() for p in policy.trainable_parameters() if p.grad is not None])


def distance(ours: Tensor, theirs: Tensor) -> float:
    return ((ours.float() - theirs.float()).norm() / theirs.float().norm()).item()


def test_which_layers_are_quantised(folder: Path) -> None:
    """Seven linears in each of two layers; embeddings, norms and the head are not."""
    model = load_policy(options(folder, dtype="bfloat16")).base_model
    held = {name: m for name, m in model.named_modules() if isinstance(m, Linear4bit)}
    assert len(held) == 14
    assert all(layer.weight.dtype == torch.uint8 for layer in held.values())
    assert all(layer.weight.quant_state.quant_type == "nf4" for layer in held.values())
    assert type(model.lm_head) is nn.Linear
    assert model.lm_head.weight.dtype == model.model.embed_tokens.weight.dtype == torch.bfloat16
    assert model.model.norm.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("quantization", "name"),
    [
        (NF4, "nf4+double"),
        ({"double": False}, "nf4"),
        ({"type": "fp4"}, "fp4+double"),
        ({"type": "fp4", "double": False}, "fp4"),
        (None, "none"),
    ],
)
def test_the_policy_says_how_its_base_is_held(folder: Path, quantization: Any, name: str) -> None:
    assert load_policy(options(folder, quantization=quantization)).quantization == name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("type", ["nf4", "fp4"])
def test_every_way_gives_the_same_numbers(folder: Path, type: str, dtype: str) -> None:
    policy = policy_of(folder, quantization={"type": type}, dtype=dtype)
    proof = prove_layout(policy, pairs())
    assert proof.layout == "tree"
    if dtype == "float32":
        with policy.evaluating():
            own = own_forward_logps(policy, pairs()).per_token_logps_S
            for layout in ("tree", "padded", "own_logits"):
                ours = branch_logps(policy, pairs(), layout).per_token_logps_S  # type: ignore[arg-type]
                torch.testing.assert_close(ours, own, rtol=1e-4, atol=1e-4)
        assert distance(gradients(policy, "tree"), gradients(policy, "padded")) < 1e-4


def test_four_bits_are_not_the_whole_weights(folder: Path) -> None:
    """So that the tests above cannot pass by quantising nothing: the numbers are near, and not the same."""
    with torch.no_grad():
        quantised = branch_logps(policy_of(folder), pairs()).per_token_logps_S
        whole = branch_logps(policy_of(folder, quantization=None), pairs()).per_token_logps_S
    assert 1e-3 < distance(quantised, whole) < 0.5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_asking_without_gradient_changes_nothing(folder: Path, dtype: str) -> None:
    """bitsandbytes repacks weights that are asked without gradient, for a kernel without backward pass."""
    policy = policy_of(folder, dtype=dtype)
    expected = gradients(policy)
    packed = {n: m.weight.data.clone() for n, m in policy.model.named_modules() if isinstance(m, Linear4bit)}
    with policy.evaluating():
        asked = branch_logps(policy, pairs()).per_token_logps_S
    with policy.as_reference():
        branch_logps(policy, pairs())
    assert torch.equal(gradients(policy), expected)
    assert torch.equal(branch_logps(policy, pairs()).per_token_logps_S, asked)
    for name, module in policy.model.named_modules():
        if name in packed:
            assert torch.equal(module.weight.data, packed[name])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_fresh_adapter_is_the_reference_to_the_last_bit(folder: Path, dtype: str) -> None:
    policy = load_policy(options(folder, dtype=dtype))
    with policy.as_reference():
        reference = branch_logps(policy, pairs()).per_token_logps_S
    assert torch.equal(branch_logps(policy, pairs()).per_token_logps_S, reference)


# --- our lighter LoRA over quantised layers ---------------------------------------------------------------


def light_and_heavy(folder: Path, dtype: str, dropout: float) -> Iterator[Any]:
    for light in (True, False):
        torch.manual_seed(0)
        base = load_trained(str(folder), options(folder, dtype=dtype)).causal_lm
        config = LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout, target_modules="all-linear")
        model = get_peft_model(base, config)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        awaken_adapter(model)
        if light:
            assert lighten_lora(model) == 14
        yield model.train()


def out_and_gradients(model: Any) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    logits = model(input_ids=torch.arange(3, 40)[None]).logits
    weights = torch.sin(torch.arange(logits.numel(), dtype=torch.float32)).view_as(logits)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    grads = torch.autograd.grad((logits.float() * weights).sum(), parameters)
    return logits.detach(), torch.cat([grad.flatten() for grad in grads])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_light_lora_is_pefts_own(folder: Path, dropout: float) -> None:
    light, heavy = (out_and_gradients(model) for model in light_and_heavy(folder, "float32", dropout))
    assert distance(light[0], heavy[0]) < 1e-6
    assert distance(light[1], heavy[1]) < 5e-6


def test_light_lora_over_bf16_layers(folder: Path) -> None:
    """peft multiplies in fp32 what arrives in bf16, ours in bf16: apart by bf16's rounding, no more."""
    light, heavy = (out_and_gradients(model) for model in light_and_heavy(folder, "bfloat16", 0.0))
    assert light[0].dtype == torch.bfloat16
    assert light[1].dtype == torch.float32
    assert distance(light[0], heavy[0]) < 0.05
    assert distance(light[1], heavy[1]) < 0.1


# --- memory -----------------------------------------------------------------------------------------------


def held_bytes(layer: Linear4bit) -> int:
    """Of the weight and of everything that is needed to read it."""
    state = layer.weight.quant_state
    parts = [layer.weight.data, state.absmax, state.code]
    if state.nested:
        parts += [state.offset, state.state2.absmax, state.state2.code]
    return sum(part.numel() * part.element_size() for part in parts)


@pytest.mark.parametrize(("double", "bits_per_weight"), [(True, 4.2), (False, 4.55)])
def test_a_third_of_the_memory_or_less(tmp_path: Path, double: bool, bits_per_weight: float) -> None:
    """Four bits a weight and a scale a block of 64: 32 bits of it, or 8 with double quantisation.

    4 + 8/64 + 32/(64*256) = 4.127 bits with it and 4 + 32/64 = 4.5 without, and the tables of both kinds.
    """
    width = {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 64}
    save_tiny(tmp_path, "llama", torch.bfloat16, **width, **heads)
    policy = load_policy(options(tmp_path, quantization={"double": double}))
    layers = [m for m in policy.model.modules() if isinstance(m, Linear4bit)]
    weights = sum(layer.in_features * layer.out_features for layer in layers)
    held = sum(held_bytes(layer) for layer in layers)
    assert weights == 512 * (512 + 256 + 256 + 512) + 3 * 512 * 1024
    assert held <= weights * 2 / 3
    assert held * 8 / weights < bits_per_weight


# --- what cannot be ---------------------------------------------------------------------------------------


def test_every_weight_of_a_quantised_base_cannot_be_trained() -> None:
    with pytest.raises(RecipeError, match="four bits are too few to train"):
        parse_recipe("output: runs/x\nmodel: {quantization: {}, adapter: null}")


def test_a_quantised_layer_cannot_be_trained_whole(folder: Path) -> None:
    adapter = {"rank": 4, "modules_to_save": ["q_proj"], "target_modules": ["v_proj"]}
    with pytest.raises(ModelError, match=r"(?s)does not fit.*trained whole"):
        load_policy(options(folder, adapter=adapter))


def test_a_head_trained_whole_over_a_quantised_base(folder: Path) -> None:
    """It is not quantised, so it can be."""
    policy = load_policy(options(folder, adapter={"rank": 4, "modules_to_save": ["lm_head"]}))
    assert gradients(policy).abs().max() > 0
    assert {p.dtype for p in policy.trainable_parameters()} == {torch.float32}


def test_a_base_that_comes_quantised(folder: Path, tmp_path: Path) -> None:
    """It is taken as it is; a second quantisation would have no effect, and it cannot be trained whole."""
    first = load_trained(str(folder), options(folder))
    first.base_model.save_pretrained(tmp_path)
    first.tokenizer.save_pretrained(tmp_path)
    again = load_trained(str(tmp_path), options(tmp_path, quantization=None))
    assert again.quantization == "nf4+double"
    with torch.no_grad():
        ours, theirs = (branch_logps(p, pairs()).per_token_logps_S for p in (again, first))
    assert torch.equal(ours, theirs)
    with pytest.raises(ModelError, match="comes quantised"):
        load_policy(options(tmp_path))
    with pytest.raises(ModelError, match="cannot be trained"):
        load_policy(options(tmp_path, quantization=None, adapter=None))


def test_nothing_to_quantise(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_all = BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=["model", "lm_head"])
    monkeypatch.setattr("palate.engine.loading.quantization_config", lambda options, dtype: skip_all)
    with pytest.raises(ModelError, match="nothing to quantise"):
        load_policy(options(folder))


# --- an adapter comes back over the base it was trained on --------------------------------------------------


def test_a_trained_adapter_is_asked_over_the_quantised_base(folder: Path, tmp_path: Path) -> None:
    policy = policy_of(folder)
    policy.save_weights(tmp_path)
    asked = load_trained(str(tmp_path), options(folder))
    assert asked.quantization == "nf4+double"
    with policy.evaluating(), torch.no_grad():
        expected = branch_logps(policy, pairs()).per_token_logps_S
        assert torch.equal(branch_logps(asked, pairs()).per_token_logps_S, expected)
        whole = load_trained(str(tmp_path), options(folder, quantization=None))
        assert not torch.equal(branch_logps(whole, pairs()).per_token_logps_S, expected)


def test_lora_on_some_layers_only(folder: Path) -> None:
    base = load_trained(str(folder), options(folder)).causal_lm
    model = add_lora(base, LoraOptions(rank=4, target_modules=["q_proj"]), seed=0)
    assert sum(p.requires_grad for p in model.parameters()) == 2 * 2
