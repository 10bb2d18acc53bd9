from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_folder import save_tiny
from tiny_models import tiny_branches, tiny_config, tiny_model

from palate.engine import (
    Policy,
    branch_logps,
    load_policy,
    load_tokenizer,
    load_trained,
    resolve_model_folder,
)
from palate.errors import ModelError
from palate.recipe import LoraOptions, ModelOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def bf16_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("bf16"), dtype=torch.bfloat16)


def load(folder: Path, **options: Any) -> Policy:
    return load_policy(ModelOptions(base=str(folder), **({"device": "cpu"} | options)))


def base_dtypes(policy: Policy) -> set[torch.dtype]:
    return {p.dtype for name, p in policy.causal_lm.named_parameters() if ".lora_" not in name}


def test_an_adapter_is_fp32_over_whatever_the_base_is(bf16_folder: Path) -> None:
    policy = load(bf16_folder)
    assert base_dtypes(policy) == {torch.bfloat16} == {policy.compute_dtype}
    assert {p.dtype for p in policy.trainable_parameters()} == {torch.float32}
    assert policy.has_adapter and policy.model.training
    assert policy.attention == "sdpa"


def test_full_fine_tuning_holds_fp32_and_computes_in_the_checkpoints_dtype(bf16_folder: Path) -> None:
    policy = load(bf16_folder, adapter=None)
    assert base_dtypes(policy) == {torch.float32}
    assert policy.compute_dtype == torch.bfloat16
    assert len(policy.trainable_parameters()) == len(list(policy.causal_lm.parameters()))
    assert not policy.has_adapter
    with policy.autocast():
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16 and torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("auto", torch.bfloat16), ("float32", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_dtype(bf16_folder: Path, wanted: str, expected: torch.dtype) -> None:
    policy = load(bf16_folder, dtype=wanted)
    assert base_dtypes(policy) == {expected}
    with policy.autocast():
        assert not torch.is_autocast_enabled("cpu")


def test_a_half_precision_checkpoint_is_widened_on_a_cpu(tmp_path: Path) -> None:
    assert base_dtypes(load(save_tiny(tmp_path, dtype=torch.float16))) == {torch.float32}


def test_the_device_is_chosen_or_named(folder: Path) -> None:
    assert load(folder, device="cpu").device == torch.device("cpu")
    assert load(folder, device="auto").device.type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_there(folder: Path, device: str) -> None:
    with pytest.raises(ModelError, match="cannot be used") as caught:
        load(folder, device=device)
    assert "auto" in caught.value.next


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    for base in (str(tmp_path / "nothing"), "./nothing", "~/no/such/model", "a/b/c"):
        with pytest.raises(ModelError, match="no such model folder") as caught:
            resolve_model_folder(base)
        assert base in str(caught.value)


def test_a_file_is_no_model_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").write_text("")
    with pytest.raises(ModelError, match="no such model folder"):
        resolve_model_folder("weights")


def test_a_folder_under_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert resolve_model_folder(f"~/{folder.name}") == folder.resolve()


def test_without_a_network_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="not here") as caught:
        resolve_model_folder("nobody/has-this-model")
    assert "HF_HUB_OFFLINE" in caught.value.why
    assert "playground" in caught.value.next


@pytest.mark.parametrize("name", ["no spaces please", "a..b", "x" * 200])
def test_a_name_the_hub_would_not_take(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        resolve_model_folder(name)
    assert name in str(caught.value)


def test_pickled_weights_are_refused_and_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    base = save_tiny(tmp_path / "base")
    (base / "model.safetensors").unlink()
    torch.save({"model.embed_tokens.weight": Trap()}, base / "pytorch_model.bin")
    with pytest.raises(ModelError, match="weights cannot be loaded") as caught:
        load(base)
    assert "safetensors" in caught.value.next
    assert not (tmp_path / "executed").exists()


def edit_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path, file: str) -> None:
    base = save_tiny(tmp_path / "base")
    (base / "trap.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nclass Trap: pass\n")
    if file == "config.json":
        names = {"AutoConfig": "trap.Trap", "AutoModelForCausalLM": "trap.Trap"}
        edit_json(base / file, model_type="trap", auto_map=names)
        with pytest.raises(ModelError) as caught:
            load(base)
        assert "remote code" in caught.value.next
    else:
        edit_json(base / file, tokenizer_class="Trap", auto_map={"AutoTokenizer": ["trap.Trap", None]})
        with contextlib.suppress(ModelError):
            load_tokenizer(base, "base")
    assert not (tmp_path / "executed").exists()


def test_damaged_files_are_named_and_not_traced(tmp_path: Path) -> None:
    for file, content, what in (
        ("config.json", "{", "config.json cannot be read"),
        ("config.json", '{"model_type": "no-such-thing"}', "config.json cannot be read"),
        ("config.json", '{"model_type": "t5"}', "weights cannot be loaded"),
        ("model.safetensors", "rubbish", "weights cannot be loaded"),
        ("tokenizer.json", "{", "tokenizer cannot be read"),
    ):
        base = save_tiny(tmp_path / f"{file}{len(content)}")
        (base / file).write_text(content)
        with pytest.raises(ModelError, match=what) as caught:
            load(base)
        assert str(base) in str(caught.value)


def test_weights_that_are_missing_from_the_file_are_not_made_up(tmp_path: Path) -> None:
    """transformers fills them with random numbers and a warning."""
    from safetensors.torch import load_file, save_file

    base = save_tiny(tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="weights") as caught:
        load(base)
    assert "up_proj" in caught.value.why


def test_attention_is_one_the_model_can(tmp_path: Path, folder: Path) -> None:
    assert load(save_tiny(tmp_path / "gemma2", "gemma2")).attention == "eager"
    assert load(save_tiny(tmp_path / "mamba", "mamba", state_size=4)).attention == "eager"
    assert load(folder, attention="eager").attention == "eager"
    with pytest.raises(ModelError, match="soft-capped"):
        load(tmp_path / "gemma2", attention="sdpa")
    with pytest.raises(ModelError, match="flex_attention"):
        load(folder, attention="flex_attention")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("llama", {"attention_dropout": 0.5}),
        ("gpt2", {"n_embd": 32, "n_head": 4, "resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5}),
    ],
)
def test_the_bases_own_dropout_is_off_even_in_training(
    tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    """Or the policy would differ from its reference by noise; the adapter's dropout is the recipe's."""
    policy = load(save_tiny(tmp_path, name, **changes), adapter=LoraOptions(rank=2, dropout=0.5))
    assert policy.model.training
    first = branch_logps(policy, tiny_branches("pairs")).per_token_logps_S
    with policy.as_reference():
        reference = branch_logps(policy, tiny_branches("pairs")).per_token_logps_S
    assert torch.equal(first, reference)
    rates = {m.p for n, m in policy.model.named_modules() if isinstance(m, torch.nn.Dropout) and "lora" in n}
    assert rates == {0.5}


def test_training_goes_on_after_the_reference_was_asked(folder: Path) -> None:
    policy = load(folder)
    trainable = [p.requires_grad for p in policy.model.parameters()]
    for mode in (True, False):
        policy.model.train(mode)
        for view in (policy.as_reference, policy.evaluating):
            with view():
                assert not policy.model.training and not torch.is_grad_enabled()
            assert policy.model.training == mode and torch.is_grad_enabled()
            with pytest.raises(KeyError), view():
                raise KeyError
            assert policy.model.training == mode and torch.is_grad_enabled()
    assert [p.requires_grad for p in policy.model.parameters()] == trainable


def test_the_same_seed_loads_the_same_policy(folder: Path) -> None:
    def weights(seed: int) -> torch.Tensor:
        policy = load_policy(ModelOptions(base=str(folder), device="cpu"), seed=seed)
        return torch.cat([p.flatten() for p in policy.trainable_parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_what_was_trained_is_loaded_as_it_was(folder: Path, tmp_path: Path) -> None:
    """An adapter's folder names its base; a model folder is itself."""
    from tiny_models import awaken_adapter

    policy = load(folder)
    awaken_adapter(policy.model)
    policy.model.save_pretrained(tmp_path / "adapter")
    trained = load_trained(str(tmp_path / "adapter"), ModelOptions(device="cpu"))
    with policy.evaluating(), trained.evaluating():
        expected = branch_logps(policy, tiny_branches("pairs")).per_token_logps_S
        assert torch.equal(branch_logps(trained, tiny_branches("pairs")).per_token_logps_S, expected)
    assert not trained.model.training
    assert trained.source == str(folder)
    model = load_trained(str(folder), ModelOptions(device="cpu"))
    assert not model.has_adapter and model.folder == folder.resolve()


def test_an_adapter_that_cannot_be_loaded(folder: Path, tmp_path: Path) -> None:
    policy = load(folder)
    policy.model.save_pretrained(tmp_path)
    weights, config = tmp_path / "adapter_model.safetensors", tmp_path / "adapter_config.json"
    whole = weights.read_bytes()
    torch.save({}, tmp_path / "adapter_model.bin")
    weights.unlink()
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_trained(str(tmp_path), ModelOptions(device="cpu"))
    assert "safetensors" in caught.value.why
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_trained(str(tmp_path), ModelOptions(device="cpu"))
    weights.write_bytes(whole)
    edit_json(config, base_model_name_or_path=str(tmp_path / "gone"))
    with pytest.raises(ModelError, match="no such model folder"):
        load_trained(str(tmp_path), ModelOptions(device="cpu"))
    for rubbish in ("{", "[]", "{}"):
        config.write_text(rubbish)
        with pytest.raises(ModelError, match="adapter_config"):
            load_trained(str(tmp_path), ModelOptions(device="cpu"))


def test_stop_tokens_and_padding(folder: Path) -> None:
    policy = load(folder)
    assert policy.stop_ids() == [policy.tokenizer.eos_token_id]
    policy.causal_lm.generation_config.eos_token_id = [3, 4]
    assert policy.stop_ids() == [3, 4]
    policy.causal_lm.generation_config.eos_token_id = None
    assert policy.stop_ids() == []
    assert policy.pad_token_id == policy.tokenizer.pad_token_id


def test_random_models_of_this_folder_have_opinions() -> None:
    """Else masks could be wrong and no test would see it."""
    logits = tiny_model(tiny_config("llama"))(input_ids=torch.arange(3, 30)[None]).logits
    assert logits.softmax(-1).max(-1).values.mean() > 0.05
