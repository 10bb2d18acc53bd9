from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny_models import awaken_adapter, tiny_config, tiny_model, tiny_policy, tokens
from torch import Tensor, nn

from palate.engine.adapter import add_lora
from palate.engine.lora import lighten_lora
from palate.errors import ModelError
from palate.recipe import LoraOptions

IDS = torch.arange(3, 40).reshape(1, -1)


def peft_model(dtype: torch.dtype = torch.float32, **options: Any) -> PeftModel:
    """peft's own, its adapter in fp32 and awake."""
    torch.manual_seed(0)
    config = (
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear") if not options else LoraConfig(**options)
    )
    model = get_peft_model(tiny_model(tiny_config("llama"), dtype=dtype), config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    awaken_adapter(model)
    return model.train()


def light_and_heavy(dtype: torch.dtype = torch.float32, **options: Any) -> tuple[PeftModel, PeftModel]:
    light, heavy = peft_model(dtype, **options), peft_model(dtype, **options)
    lighten_lora(light)
    return light, heavy


def out(model: nn.Module, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return model(input_ids=IDS).logits


def gradients(model: nn.Module, logits: Tensor) -> Tensor:
    weights = torch.sin(torch.arange(logits.numel(), dtype=torch.float32)).view_as(logits)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.cat([g.flatten() for g in torch.autograd.grad((logits * weights).sum(), parameters)])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("rslora", [False, True])
def test_fp32_is_pefts_own(dropout: float, rslora: bool) -> None:
    """Outputs and gradients, dropout drawn alike."""
    options = {"r": 4, "lora_alpha": 5, "lora_dropout": dropout, "use_rslora": rslora}
    light, heavy = light_and_heavy(target_modules=["q_proj", "v_proj", "down_proj"], **options)
    ours, theirs = out(light), out(heavy)
    assert (ours - theirs).norm() / theirs.norm() < 1e-6
    expected = gradients(heavy, theirs)
    assert (gradients(light, ours) - expected).norm() / expected.norm() < 5e-6
    if dropout:
        assert not torch.equal(out(light, seed=1), ours), "dropout has no effect"


def test_every_plain_linear_is_lightened() -> None:
    """Seven linears in each of two layers; the head is not among all-linear."""
    assert lighten_lora(peft_model()) == 7 * 2


def test_a_bf16_base_gets_fp32_gradients() -> None:
    """peft multiplies in fp32 what arrives in bf16, ours in bf16: both are about as far from all in fp32."""
    light, heavy = light_and_heavy(torch.bfloat16)
    exact = light_and_heavy(torch.float32)[1]
    for parameter, rounded in zip(exact.parameters(), heavy.parameters(), strict=True):
        parameter.data = rounded.data.float()
    outs = [out(model).float() for model in (light, heavy, exact)]
    grads = [gradients(model, logits) for model, logits in zip((light, heavy, exact), outs, strict=True)]
    assert out(light).dtype == torch.bfloat16
    assert grads[0].dtype == torch.float32
    for light_one, heavy_one, exact_one in (outs, grads):
        error = [((one - exact_one).norm() / exact_one.norm()).item() for one in (light_one, heavy_one)]
        assert error[0] < 0.1
        assert error[0] < 2 * error[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fresh_adapter_changes_no_bit(dtype: torch.dtype) -> None:
    base = tiny_model(tiny_config("llama"), dtype=dtype)
    expected = base(input_ids=IDS).logits
    policy = tiny_policy(base, LoraOptions(rank=4, dropout=0.4), awaken=False)
    policy.model.train()
    assert torch.equal(out(policy.model), expected)


def test_switched_off_is_the_base() -> None:
    base = out(tiny_model(tiny_config("llama")))
    light, _ = light_and_heavy()
    adapted = out(light)
    with light.disable_adapter():
        assert torch.equal(out(light), base)
    assert torch.equal(out(light), adapted)


def test_merged_and_unmerged() -> None:
    light, _ = light_and_heavy()
    light.eval()
    adapted = out(light)
    light.merge_adapter()
    torch.testing.assert_close(out(light), adapted, rtol=1e-4, atol=1e-4)
    light.unmerge_adapter()
    torch.testing.assert_close(out(light), adapted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(out(light.merge_and_unload()), adapted, rtol=1e-4, atol=1e-4)


def test_a_copy_stands_by_itself() -> None:
    light, _ = light_and_heavy()
    before = out(light)
    other = copy.deepcopy(light)
    assert torch.equal(out(other), before)
    awaken_adapter(other, seed=7)
    assert not torch.allclose(out(other), before)
    assert torch.equal(out(light), before)


def test_saved_and_loaded_by_peft(tmp_path: Path) -> None:
    light, _ = light_and_heavy()
    light.eval().save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(tiny_model(tiny_config("llama")), tmp_path)
    torch.testing.assert_close(out(loaded), out(light), rtol=1e-5, atol=1e-5)


def test_dora_keeps_pefts_own() -> None:
    options = {"r": 4, "use_dora": True, "target_modules": ["q_proj", "up_proj"]}
    light, heavy = peft_model(**options), peft_model(**options)
    assert lighten_lora(light) == 0
    assert torch.equal(out(light), out(heavy))


def test_other_kinds_of_layer_keep_pefts_own() -> None:
    """LoRA on embeddings is a lookup and not a product; a bias in B is a term that ours does not have."""
    for options in ({"target_modules": ["embed_tokens"]}, {"target_modules": ["q_proj"], "lora_bias": True}):
        model = tiny_model(tiny_config("qwen2"))  # its q_proj has a bias, without which peft wants none
        adapted = get_peft_model(model, LoraConfig(r=4, **options))  # type: ignore[arg-type]
        awaken_adapter(adapted)
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_B" in name and name.endswith("bias"):
                    parameter.add_(1.0)
        expected = out(adapted)
        assert lighten_lora(adapted) == 0
        assert torch.equal(out(adapted), expected)


def test_two_adapters_at_once_keep_pefts_own() -> None:
    light, heavy = light_and_heavy()
    for model in (light, heavy):
        model.add_adapter("second", LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    for parameter, other in zip(light.parameters(), heavy.parameters(), strict=True):
        parameter.data = other.data
    for model in (light, heavy):
        model.base_model.set_adapter(["default", "second"])
    torch.testing.assert_close(out(light), out(heavy))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("all-linear", 7 * 2),
        (["q_proj", "v_proj"], 2 * 2),
        (r".*layers\.[13]\.mlp\..*_proj", 3),
        (["lm_head"], 1),
    ],
)
def test_targets(target: str | list[str], expected: int) -> None:
    model = add_lora(tiny_model(tiny_config("llama")), LoraOptions(rank=4, target_modules=target), seed=0)
    assert sum(name.endswith(".lora_A") for name, _ in model.named_modules()) == expected


def test_the_seed_decides_the_adapter_and_nothing_else_is_disturbed() -> None:
    def first(seed: int) -> Tensor:
        model = add_lora(tiny_model(tiny_config("llama")), LoraOptions(rank=4), seed)
        return next(parameter for parameter in model.parameters() if parameter.requires_grad)

    torch.manual_seed(5)
    expected = torch.rand(1)
    model = tiny_model(tiny_config("llama"))
    torch.manual_seed(5)
    add_lora(model, LoraOptions(rank=4), seed=3)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"target_modules": ["query"]}, "query"),
        ({"target_modules": "("}, ""),  # no regular expression
        ({"modules_to_save": ["classifier"]}, "classifier"),
        ({"target_modules": ["q_proj"], "layers_to_transform": [0, 7]}, "layer 7"),
        ({"target_modules": ["q_proj"], "exclude_modules": ["v_proj"]}, "exclude_modules"),
        ({"rank_pattern": {"quary": 8}}, "quary"),
        ({"alpha_pattern": {"lm_head": 8}}, "lm_head"),  # there, but without an adapter
    ],
)
def test_an_adapter_that_does_not_fit_says_what_would(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError) as caught:
        add_lora(tiny_model(tiny_config("llama")), LoraOptions(rank=4, **options), seed=0)
    assert why in caught.value.why
    assert "q_proj" in caught.value.next and "down_proj" in caught.value.next


def test_random_prompts_in_a_batch() -> None:
    """More than one row: the hand-written backward sums over all leading dimensions."""
    import numpy as np

    rng = np.random.default_rng(0)
    ids = torch.tensor([tokens(rng, 9) for _ in range(3)])
    light, heavy = light_and_heavy()
    ours, theirs = light(input_ids=ids).logits, heavy(input_ids=ids).logits
    expected = gradients(heavy, theirs)
    assert (gradients(light, ours) - expected).norm() / expected.norm() < 5e-6
