"""Weights on disk: whole or not there, and readable by everybody else's tools."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from palate.engine import Policy, load_policy, load_trained
from palate.errors import ArtifactError
from palate.recipe import ModelOptions
from palate.train.checkpoint import checkpoint_folder, prune_checkpoints, publish_best, save_checkpoint
from tiny_run import run, tiny_recipe

PROMPT = torch.tensor([[3, 4, 5, 6, 7]])


@pytest.fixture(params=["adapter", "full"])
def policy(request: pytest.FixtureRequest, base: Path) -> Policy:
    adapter = {"rank": 4, "alpha": 8} if request.param == "adapter" else None
    made = load_policy(ModelOptions.model_validate({"base": str(base), "adapter": adapter}))
    torch.manual_seed(1)
    for parameter in made.trainable_parameters():
        parameter.data += torch.randn_like(parameter) * 0.05
    made.model.eval()
    return made


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=PROMPT).logits


def test_the_manifest_tells_the_truth(policy: Policy, tmp_path: Path) -> None:
    saved = save_checkpoint(policy, tmp_path, 12)
    assert saved.name == "step-000012"
    manifest = json.loads((saved / "manifest.json").read_text())
    assert manifest["step"] == 12
    there = {f.name: f.read_bytes() for f in saved.iterdir() if f.name != "manifest.json"}
    assert manifest["files"] == {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in there.items()
    }
    assert any(name.endswith(".safetensors") for name in there)
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in there)


@pytest.mark.parametrize("culprit", ["_write_weights", "_write_manifest", "_flush"])
def test_a_failing_write_leaves_nothing_to_be_mistaken(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, culprit: str
) -> None:
    save_checkpoint(policy, tmp_path, 1)

    def full_disk(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"palate.train.checkpoint.{culprit}", full_disk)
        with pytest.raises(ArtifactError, match="No space left"):
            save_checkpoint(policy, tmp_path, 2)
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-000001"]
    assert save_checkpoint(policy, tmp_path, 2).is_dir(), "it can be written once there is space"


def test_what_a_kill_left_behind_is_swept_away(policy: Policy, tmp_path: Path) -> None:
    half = tmp_path / ".step-000003.tmp"
    half.mkdir()
    (half / "adapter_model.safetensors").write_text("half of i")
    (half / "stray").write_text("")
    assert not (save_checkpoint(policy, tmp_path, 3) / "stray").exists()
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-000003"]


def test_a_step_that_is_saved_is_left_as_it_is(policy: Policy, tmp_path: Path) -> None:
    saved = save_checkpoint(policy, tmp_path, 1)
    before = (saved / "manifest.json").stat().st_mtime_ns
    policy.trainable_parameters()[0].data += 1
    assert save_checkpoint(policy, tmp_path, 1) == saved
    assert (saved / "manifest.json").stat().st_mtime_ns == before


def test_others_tools_load_it(policy: Policy, base: Path, tmp_path: Path) -> None:
    """peft an adapter, transformers a whole model, neither with a network."""
    saved = save_checkpoint(policy, tmp_path, 1)
    expected = logits(policy.model)
    if policy.has_adapter:
        from peft import PeftModel

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), saved)
        assert loaded.peft_config["default"].inference_mode
        assert loaded.peft_config["default"].base_model_name_or_path == str(base)
    else:
        loaded = AutoModelForCausalLM.from_pretrained(saved)
        assert AutoTokenizer.from_pretrained(saved).chat_template
    torch.testing.assert_close(logits(loaded.eval()), expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(expected, logits(AutoModelForCausalLM.from_pretrained(base)), atol=1e-3)


def test_palate_loads_it(policy: Policy, tmp_path: Path) -> None:
    loaded = load_trained(str(save_checkpoint(policy, tmp_path, 1)), ModelOptions())
    torch.testing.assert_close(logits(loaded.model), logits(policy.model), rtol=1e-5, atol=1e-5)


def test_an_adapter_remembers_the_revision_of_its_base(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def hub(name: str, revision: str | None = None) -> Path:
        asked.append((name, revision))
        return base

    monkeypatch.setattr("palate.engine.loading.resolve_model_folder", hub)
    options = ModelOptions.model_validate(
        {"base": "someone/model", "revision": "v2", "adapter": {"rank": 4, "alpha": 8}}
    )
    saved = save_checkpoint(load_policy(options), tmp_path, 1)
    load_trained(str(saved), ModelOptions())
    assert asked == [("someone/model", "v2"), ("someone/model", "v2")]


def test_saving_leaves_the_policy_trainable(policy: Policy, tmp_path: Path) -> None:
    save_checkpoint(policy, tmp_path, 1)
    assert policy.trainable_parameters()
    if policy.has_adapter:
        assert not policy.model.peft_config["default"].inference_mode  # type: ignore[index, union-attr]


def test_modules_trained_whole_are_saved_too(base: Path, tmp_path: Path) -> None:
    options = ModelOptions.model_validate({"base": str(base), "adapter": {"modules_to_save": ["lm_head"]}})
    made = load_policy(options)
    made.model.eval()
    for name, parameter in made.model.named_parameters():
        if "modules_to_save" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
    loaded = load_trained(str(save_checkpoint(made, tmp_path, 1)), ModelOptions())
    torch.testing.assert_close(logits(loaded.model), logits(made.model), rtol=1e-5, atol=1e-5)


def test_pruning_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20, 1_000_000):
        checkpoint_folder(tmp_path, step).mkdir()

    def left() -> list[int]:
        return sorted(int(folder.name.removeprefix("step-")) for folder in tmp_path.iterdir())

    prune_checkpoints(tmp_path, 2, best_step=10)
    assert left() == [10, 20, 1_000_000]
    prune_checkpoints(tmp_path, 1, best_step=None)
    assert left() == [1_000_000]


def test_the_best_is_published_over_an_older_one(policy: Policy, tmp_path: Path) -> None:
    save_checkpoint(policy, tmp_path / "checkpoints", 1)
    target = tmp_path / "adapter"
    target.mkdir()
    (target / "old").write_text("")
    publish_best(tmp_path / "checkpoints", 1, target)
    assert not (target / "old").exists()
    assert any(file.suffix == ".safetensors" for file in target.iterdir())
    assert sorted(f.name for f in tmp_path.iterdir()) == ["adapter", "checkpoints"]


def test_a_run_keeps_what_it_was_told_to(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is evaluated and saved; the best and the last stay, and the best is what is published."""
    values = iter([0.3, 0.1, 0.2, 0.4])
    monkeypatch.setattr("palate.train.loop._to_minimise", lambda metric, figures: next(values))
    every_step = ("train.evaluate_every=1", "train.checkpoint_every=1", "train.keep_checkpoints=1")
    summary, lines = run(tiny_recipe(tmp_path, base, *every_step))
    held_out = {line["step"]: line["loss"] for line in lines if line["split"] == "eval"}
    assert (summary["best_step"], summary["eval"]["loss"]) == (2, held_out[2])
    checkpoints = tmp_path / "run" / "checkpoints"
    assert sorted(folder.name for folder in checkpoints.iterdir()) == ["step-000002", "step-000004"]
    published = tmp_path / "run" / "adapter" / "adapter_model.safetensors"
    best, last = (checkpoint_folder(checkpoints, step) / published.name for step in (2, 4))
    assert published.read_bytes() == best.read_bytes() != last.read_bytes()
