"""Training goes on from an adapter that was trained before: the same weights, in fp32, lightened, its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_folder import save_tiny
from tiny_models import awaken_adapter, tiny_branches

from palate.engine import Policy, branch_logps, load_policy, load_trained
from palate.engine.lora import _LightForward
from palate.errors import ModelError, RecipeError
from palate.recipe import ExistingAdapterOptions, LoraOptions, ModelOptions, parse_recipe

BRANCHES = tiny_branches("pairs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("base"))


def options(folder: Path, adapter: Any, **changes: Any) -> ModelOptions:
    return ModelOptions.model_validate({"base": str(folder), "adapter": adapter} | changes)


def existing(path: Path) -> dict[str, str]:
    return {"type": "existing", "path": str(path)}


def num_light(policy: Policy) -> int:
    return sum(isinstance(module, _LightForward) for module in policy.model.modules())


def logps(policy: Policy) -> torch.Tensor:
    with policy.evaluating():
        return branch_logps(policy, BRANCHES).per_token_logps_S


@pytest.fixture(scope="module")
def adapter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that does something, with a dropout, a rank and targets of its own, as Palate saves it."""
    here = tmp_path_factory.mktemp("adapter")
    how = {"rank": 3, "alpha": 5, "dropout": 0.25, "target_modules": ["q_proj", "down_proj"]}
    policy = load_policy(options(folder, how))
    awaken_adapter(policy.model)
    policy.save_weights(here)
    return here


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_starts_where_the_adapter_ended(folder: Path, adapter: Path, dtype: str) -> None:
    policy = load_policy(options(folder, existing(adapter), dtype=dtype))
    asked = load_trained(str(adapter), options(folder, None, dtype=dtype))
    assert torch.equal(logps(policy), logps(asked))
    with policy.as_reference():
        base = branch_logps(policy, BRANCHES).per_token_logps_S
    assert not torch.equal(base, logps(policy))


def test_it_brings_its_own_options_and_is_trained_in_fp32(folder: Path, adapter: Path) -> None:
    policy = load_policy(options(folder, existing(adapter), dtype="bfloat16"))
    trained = {name: p for name, p in policy.model.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 2 * 2
    assert all("lora_" in name for name in trained)
    assert {p.dtype for p in trained.values()} == {torch.float32}
    config = policy.model.peft_config["default"]  # type: ignore[index]
    assert (config.r, config.lora_alpha, config.lora_dropout) == (3, 5, 0.25)
    assert policy.model.training
    branch_logps(policy, BRANCHES).per_token_logps_S.sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in trained.values())


def test_it_is_lightened(folder: Path, adapter: Path) -> None:
    policy = load_policy(options(folder, existing(adapter)))
    assert num_light(policy) == 2 * 2


def test_one_step_goes_where_a_fresh_one_of_the_same_weights_would(folder: Path, adapter: Path) -> None:
    """Loaded to be trained on, and loaded by hand into a fresh adapter: equal after a step."""
    how = {"rank": 3, "alpha": 5, "target_modules": ["q_proj", "down_proj"]}
    fresh = load_policy(options(folder, how))
    awaken_adapter(fresh.model)
    again = load_policy(options(folder, existing(adapter)))
    after = []
    for policy in (fresh, again):
        optimizer = torch.optim.SGD(policy.trainable_parameters(), lr=0.1)
        policy.model.eval()  # dropout is the saved one's alone
        branch_logps(policy, BRANCHES).per_token_logps_S.sum().backward()
        optimizer.step()
        after.append(torch.cat([p.detach().flatten() for p in policy.trainable_parameters()]))
    assert torch.equal(*after)


def test_modules_trained_whole_go_on_too(folder: Path, tmp_path: Path) -> None:
    first = load_policy(options(folder, {"rank": 2, "modules_to_save": ["lm_head"]}))
    for parameter in first.trainable_parameters():
        parameter.data += 0.01
    first.save_weights(tmp_path)
    again = load_policy(options(folder, existing(tmp_path)))
    assert torch.equal(logps(again), logps(first))
    whole = [n for n, p in again.model.named_parameters() if p.requires_grad and "modules_to_save" in n]
    assert len(whole) == 1


def test_a_run_folder_is_its_adapter(folder: Path, adapter: Path, tmp_path: Path) -> None:
    shutil.copytree(adapter, tmp_path / "run" / "adapter")
    by_run = load_policy(options(folder, existing(tmp_path / "run")))
    by_folder = load_policy(options(folder, existing(adapter)))
    assert torch.equal(logps(by_run), logps(by_folder))
    assert by_run.start_hash == by_folder.start_hash


def test_the_hash_is_of_the_content(folder: Path, adapter: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(adapter, tmp_path / "copy")
    first = load_policy(options(folder, existing(adapter))).start_hash
    assert len(first) == 64
    assert load_policy(options(folder, existing(copied))).start_hash == first
    tensors = load_file(copied / "adapter_model.safetensors")
    next(iter(tensors.values()))[0, 0] += 1e-3
    save_file(tensors, copied / "adapter_model.safetensors")
    changed = load_policy(options(folder, existing(copied))).start_hash
    assert changed != first
    config = json.loads((copied / "adapter_config.json").read_text())
    (copied / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 7}))
    assert load_policy(options(folder, existing(copied))).start_hash not in (first, changed)


def test_a_fresh_adapter_has_no_start(folder: Path) -> None:
    assert load_policy(options(folder, {"rank": 2})).start_hash == ""
    assert load_policy(options(folder, None)).start_hash == ""


def test_an_adapter_of_peft_goes_on(folder: Path, tmp_path: Path) -> None:
    """Saved by peft itself, held in bf16: its weights in fp32."""
    theirs = get_peft_model(load_trained(str(folder), options(folder, None)).causal_lm, LoraConfig(r=2))
    awaken_adapter(theirs)
    theirs.to(torch.bfloat16).save_pretrained(tmp_path)
    policy = load_policy(options(folder, existing(tmp_path)))
    assert {p.dtype for p in policy.trainable_parameters()} == {torch.float32}
    saved = load_file(tmp_path / "adapter_model.safetensors")
    held = {name.replace(".default", ""): p for name, p in policy.model.named_parameters() if p.requires_grad}
    assert held.keys() == saved.keys()
    assert all(torch.equal(held[name], saved[name].float()) for name in saved)


def test_over_a_quantised_base(folder: Path, adapter: Path) -> None:
    policy = load_policy(options(folder, existing(adapter), quantization={}))
    assert policy.quantization == "nf4+double"
    branch_logps(policy, BRANCHES).per_token_logps_S.sum().backward()
    assert all(p.grad is not None for p in policy.trainable_parameters())
    assert num_light(policy) == 2 * 2


# --- what a person is told ----------------------------------------------------------------------------------


def test_nothing_where_the_base_is_the_adapters(folder: Path, adapter: Path) -> None:
    assert load_policy(options(folder, existing(adapter))).notes == ()


def test_another_base_of_the_same_shape_is_noted(adapter: Path, tmp_path: Path) -> None:
    other = save_tiny(tmp_path / "other")
    (note,) = load_policy(options(other, existing(adapter))).notes
    assert f"not on {other}" in note
    assert "was trained on" in note


def test_another_revision_is_noted(folder: Path, adapter: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(adapter, tmp_path / "copy")
    config = json.loads((copied / "adapter_config.json").read_text())
    (copied / "adapter_config.json").write_text(json.dumps(config | {"revision": "v2"}))
    (note,) = load_policy(options(folder, existing(copied))).notes
    assert "revision v2" in note


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"hidden_size": 40, "head_dim": 10}, "size mismatch"),
        ({"num_hidden_layers": 1}, "have no place here"),
        ({"num_hidden_layers": 3}, "lacks"),
    ],
)
def test_a_base_of_another_shape_is_refused(
    adapter: Path, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    """peft itself passes over layers that are missing on either side."""
    other = save_tiny(tmp_path / "other", **changes)
    with pytest.raises(ModelError) as caught:
        load_policy(options(other, existing(adapter)))
    assert "cannot be loaded" in str(caught.value)
    assert why in f"{caught.value} {caught.value.why}"


def test_a_torn_file_is_refused(folder: Path, adapter: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(adapter, tmp_path / "copy")
    tensors = load_file(copied / "adapter_model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, copied / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="lacks 1 tensor"):
        load_policy(options(folder, existing(copied)))
    with pytest.raises(ModelError, match="lacks 1 tensor"):
        load_trained(str(copied), options(folder, None))


def test_no_adapter_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no adapter here"):
        load_policy(options(folder, existing(tmp_path)))


def test_only_lora_is_trained_on(folder: Path, tmp_path: Path) -> None:
    base = load_trained(str(folder), options(folder, None)).causal_lm
    how = IA3Config(target_modules=["k_proj"], feedforward_modules=[], task_type="CAUSAL_LM")
    get_peft_model(base, how).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(folder)
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="this is IA3"):
        load_policy(options(folder, existing(tmp_path)))


# --- in recipes ---------------------------------------------------------------------------------------------


def test_recipes() -> None:
    made = parse_recipe("output: x\nmodel: {adapter: {type: existing, path: runs/first}}")
    assert made.model.adapter == ExistingAdapterOptions(type="existing", path="runs/first")
    assert parse_recipe("output: x\nmodel: {adapter: {rank: 8}}").model.adapter == LoraOptions(rank=8)
    assert parse_recipe("output: x\nmodel: {adapter: {}}").model.adapter == LoraOptions()
    by_override = parse_recipe("output: x", ["model.adapter.type=existing", "model.adapter.path=1234"])
    assert by_override.model.adapter == ExistingAdapterOptions(type="existing", path="1234")


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        ("{type: existing}", '"model.adapter.path" is missing'),
        (
            "{type: existing, path: x, rank: 8}",
            '"model.adapter.rank": not an option of existing. It belongs to lora',
        ),
        ("{path: x}", '"model.adapter.path": not an option of lora. It belongs to existing'),
        ("{rnak: 8}", '"model.adapter.rnak": unknown option. Did you mean "rank"?'),
        ("{type: loar}", 'model.adapter.type = "loar": unknown adapter. Did you mean "lora"?'),
        ("{rank: a lot}", "model.adapter.rank = 'a lot': should be a valid integer"),
        ("{type: existing, path: ''}", "model.adapter.path = '': should"),
        ("8", "model.adapter has options of its own, this is 8"),
    ],
)
def test_slips_in_recipes(adapter: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(f"output: x\nmodel: {{adapter: {adapter}}}")
    assert said in str(caught.value)
