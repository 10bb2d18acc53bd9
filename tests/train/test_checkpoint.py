"""What a checkpoint holds, exactly, and that everybody else's tools can read its weights.

That it is whole or not there, whatever happens: tests/promises/test_checkpoints_*.py.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from palate.engine import Policy, load_policy, load_trained
from palate.errors import ArtifactError
from palate.recipe import ModelOptions
from palate.train.checkpoint import (
    checkpoint_folder,
    discard_newer,
    load_state,
    newest_whole,
    prune_checkpoints,
    publish,
    save_checkpoint,
    write_weights,
)
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


def save(policy: Policy, checkpoints: Path, step: int) -> Path:
    return save_checkpoint(checkpoints, step, partial(write_weights, policy), {}, {})


def save_state(
    checkpoints: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any], step: int = 1
) -> Path:
    """A checkpoint without weights."""
    return save_checkpoint(checkpoints, step, lambda folder: None, tensors, state)


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=PROMPT).logits


def test_the_manifest_tells_the_truth(policy: Policy, tmp_path: Path) -> None:
    saved = save(policy, tmp_path, 12)
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


def test_there_is_nothing_in_it_but_weights_and_text(policy: Policy, tmp_path: Path) -> None:
    saved = save(policy, tmp_path, 1)
    state = {"manifest.json", "state.json", "state.safetensors"}
    names = {file.name for file in saved.iterdir()}
    assert state < names
    weights = {"adapter_model.safetensors", "adapter_config.json"}
    if not policy.has_adapter:
        weights = {"model.safetensors", "config.json", "generation_config.json", "chat_template.jinja"}
        weights |= {"tokenizer.json", "tokenizer_config.json"}
    assert names - state == weights


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_its_files_may_be_read_by_whom_the_umask_lets(base: Path, tmp_path: Path, umask: int) -> None:
    """safetensors writes files that are their owner's alone."""
    adapter = {"rank": 4, "alpha": 8}
    policy = load_policy(ModelOptions.model_validate({"base": str(base), "adapter": adapter}))
    saved = save(policy, tmp_path / "checkpoints", 1)
    publish(saved, tmp_path / "adapter")
    for file in (*saved.iterdir(), *(tmp_path / "adapter").iterdir()):
        assert file.stat().st_mode & 0o777 == 0o666 & ~umask, file


def test_what_the_library_cannot_write_is_said(tmp_path: Path) -> None:
    """safetensors puts the system's error number into its text."""
    for text, said in (
        ("Error while serializing: I/O error: No space left on device (os error 28)", "No space left on dev"),
        ("Error while serializing: something else", "something else"),
    ):

        def fail(folder: Path, text: str = text) -> None:
            raise SafetensorError(text)

        with pytest.raises(ArtifactError, match=f"cannot be written: .*{said}") as caught:
            save_checkpoint(tmp_path, 1, fail, {}, {})
        assert caught.value.where == str(tmp_path / "step-000001")
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_is_saved_with_the_same_state_is_left_as_it_is(policy: Policy, tmp_path: Path) -> None:
    saved = save(policy, tmp_path, 1)
    before = (saved / "manifest.json").stat()
    policy.trainable_parameters()[0].data += 1
    assert save(policy, tmp_path, 1) == saved
    assert (saved / "manifest.json").stat().st_ino == before.st_ino


def test_a_newer_state_of_the_same_step_takes_its_place(tmp_path: Path) -> None:
    saved = save_state(tmp_path, {}, {"last_evaluated": 0})
    assert save_state(tmp_path, {}, {"last_evaluated": 1}) == saved
    assert load_state(saved).state == {"last_evaluated": 1}
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-000001"]


def raw(tensor: Tensor) -> bytes:
    return tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.dim() else raw(tensor[None])


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(3, 5),
        torch.randn(3, 5, dtype=torch.float64),
        torch.randn(3, 5).bfloat16(),
        torch.randn(3, 5).half(),
        torch.arange(6, dtype=torch.int64).reshape(2, 3),
        torch.arange(256, dtype=torch.uint8),
        torch.tensor([True, False]),
        torch.tensor(7.5),
        torch.empty(0, 4),
        torch.tensor([math.nan, math.inf, -math.inf, -0.0, 5e-324], dtype=torch.float64),
        torch.randn(4, 6).t()[1:],
        torch.get_rng_state(),
        torch.nn.Parameter(torch.randn(3)),
    ],
    ids=lambda tensor: f"{tensor.dtype}-{tuple(tensor.shape)}",
)
def test_a_tensor_comes_back_to_the_last_bit(tmp_path: Path, tensor: Tensor) -> None:
    loaded = load_state(save_state(tmp_path, {"a.b/c": tensor}, {})).tensors["a.b/c"]
    expected = tensor.detach().contiguous()
    assert (loaded.dtype, loaded.shape, loaded.requires_grad) == (expected.dtype, expected.shape, False)
    assert raw(loaded) == raw(expected)


def test_tensors_that_share_memory_come_back_each_by_itself(tmp_path: Path) -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    given = {"whole": whole, "same": whole, "part": whole[1]}
    loaded = load_state(save_state(tmp_path, given, {})).tensors
    assert {name: t.tolist() for name, t in loaded.items()} == {n: t.tolist() for n, t in given.items()}


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@pytest.mark.parametrize(
    "value",
    [0.1, 1 / 3, -0.0, 5e-324, 1.7976931348623157e308, 1e22, math.inf, -math.inf, 123456.7890123],
)
def test_a_float_comes_back_to_the_last_bit(tmp_path: Path, value: float) -> None:
    state = load_state(save_state(tmp_path, {}, {"deep": [{"value": value}]})).state
    assert bits(state["deep"][0]["value"]) == bits(value)


def test_not_a_number_comes_back(tmp_path: Path) -> None:
    saved = save_state(tmp_path, {}, {"value": math.nan})
    assert math.isnan(load_state(saved).state["value"])
    json.loads((saved / "state.json").read_text(), parse_constant=pytest.fail)  # and it is JSON all the same


def test_plain_values_come_back_as_they_are(tmp_path: Path) -> None:
    state = {
        "none": None,
        "flags": [True, False],
        "long": 2**80 + 1,
        "one": 1,
        "one more": 1.0,
        "text": "half \ud83d, whole 😀, \u2028 and \0",
        "empty": [{}, [], ""],
    }
    loaded = load_state(save_state(tmp_path, {}, state)).state
    assert loaded == state
    assert repr(loaded) == repr(state), "1 is not 1.0, and True is not 1"
    assert load_state(save_state(tmp_path, {}, {"pair": (1, (2, 3))}, step=2)).state == {"pair": [1, [2, 3]]}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"a": {"b": [1, object()]}}, r"state\.a\.b\[1\]: object is no plain value"),
        ({"a": torch.tensor(1)}, r"state\.a: Tensor is no plain value"),
        ({"a": {1: 2}}, r"state\.a: keys are texts"),
        ({"a": {"$float": "inf"}}, r'none is "\$float"'),
    ],
)
def test_what_would_not_come_back_is_refused(tmp_path: Path, state: dict[str, Any], told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=told):
        save_state(tmp_path, {}, state)
    assert list(tmp_path.iterdir()) == []


def test_random_generators_go_on_where_they_stood(tmp_path: Path) -> None:
    """The likeliest content: 625 integers of 32 bits and None, and torch's generator as bytes."""
    import random

    rng, generator = random.Random(3), torch.Generator().manual_seed(3)
    version, internal, gauss = rng.getstate()
    state = {"python": [version, list(internal), gauss]}
    saved = load_state(save_state(tmp_path, {"torch": generator.get_state()}, state))
    expected = rng.random(), torch.rand(3, generator=generator).tolist()
    version, internal, gauss = saved.state["python"]
    rng.setstate((version, tuple(internal), gauss))
    generator.set_state(saved.tensors["torch"])
    assert (rng.random(), torch.rand(3, generator=generator).tolist()) == expected


def test_others_tools_load_it(policy: Policy, base: Path, tmp_path: Path) -> None:
    """peft an adapter, transformers a whole model, neither with a network."""
    saved = save(policy, tmp_path, 1)
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
    loaded = load_trained(str(save(policy, tmp_path, 1)), ModelOptions())
    torch.testing.assert_close(logits(loaded.model), logits(policy.model), rtol=1e-5, atol=1e-5)


def test_an_adapter_remembers_the_revision_of_its_base(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def hub(name: str, revision: str | None = None) -> Path:
        asked.append((name, revision))
        return base

    monkeypatch.setattr("palate.engine.base.resolve_model_folder", hub)
    options = ModelOptions.model_validate(
        {"base": "someone/model", "revision": "v2", "adapter": {"rank": 4, "alpha": 8}}
    )
    saved = save(load_policy(options), tmp_path, 1)
    load_trained(str(saved), ModelOptions())
    assert asked == [("someone/model", "v2"), ("someone/model", "v2")]


def test_saving_leaves_the_policy_trainable(policy: Policy, tmp_path: Path) -> None:
    save(policy, tmp_path, 1)
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
    loaded = load_trained(str(save(made, tmp_path, 1)), ModelOptions())
    torch.testing.assert_close(logits(loaded.model), logits(made.model), rtol=1e-5, atol=1e-5)


def steps_in(checkpoints: Path) -> list[int]:
    return sorted(int(folder.name.removeprefix("step-")) for folder in checkpoints.iterdir())


def test_pruning_keeps_the_newest_and_the_protected(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20, 1_000_000):
        save_state(tmp_path, {}, {}, step)
    prune_checkpoints(tmp_path, 9)
    assert steps_in(tmp_path) == [5, 10, 15, 20, 1_000_000]
    prune_checkpoints(tmp_path, 2, protected={10, 77})
    assert steps_in(tmp_path) == [10, 20, 1_000_000]
    prune_checkpoints(tmp_path, 1)
    assert steps_in(tmp_path) == [1_000_000]


def test_what_is_no_checkpoint_is_left_alone(tmp_path: Path) -> None:
    for name in ("step-1", "step-000001-mine", "notes"):
        (tmp_path / name).mkdir()
    for step in (2, 3):
        save_state(tmp_path, {}, {}, step)
    prune_checkpoints(tmp_path, 1)
    found = sorted(folder.name for folder in tmp_path.iterdir())
    assert found == ["notes", "step-000001-mine", "step-000003", "step-1"]
    assert newest_whole(tmp_path / "absent", pytest.fail) is None


def test_a_run_that_goes_on_lets_go_of_what_came_after(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        save_state(tmp_path, {}, {}, step)
    discard_newer(tmp_path, 2)
    assert steps_in(tmp_path) == [1, 2]


def test_one_that_is_whole_may_be_passed_over_for_another_reason(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_state(tmp_path, {}, {"best": step}, step)
    notes: list[str] = []
    found = newest_whole(tmp_path, notes.append, also=lambda s: None if s.state["best"] < 3 else "too good")
    assert found == checkpoint_folder(tmp_path, 2)
    assert notes == ["step-000003 is passed over: too good"]


def test_the_best_is_published_over_an_older_one(policy: Policy, tmp_path: Path) -> None:
    """Its weights, as others load them, and nothing that only a resumed run has use for."""
    saved = save(policy, tmp_path / "checkpoints", 1)
    target = tmp_path / "adapter"
    target.mkdir()
    (target / "old").write_text("")
    publish(saved, target)
    own = {"manifest.json", "state.json", "state.safetensors"}
    assert {f.name: f.read_bytes() for f in target.iterdir()} == {
        f.name: f.read_bytes() for f in saved.iterdir() if f.name not in own
    }
    assert sorted(f.name for f in tmp_path.iterdir()) == ["adapter", "checkpoints"]


def test_folders_in_a_model_are_published_too(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "additional_chat_templates").mkdir()
        (folder / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")

    publish(save_checkpoint(tmp_path, 1, write, {}, {}), tmp_path / "model")
    assert (tmp_path / "model" / "additional_chat_templates" / "tools.jinja").read_text() == "{{ tools }}"


def test_a_run_keeps_what_it_was_told_to(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is evaluated and saved; the best and the last stay, and the best is what is published."""
    values = iter([0.3, 0.1, 0.2, 0.4])
    monkeypatch.setattr("palate.train.progress._to_minimise", lambda metric, figures: next(values))
    every_step = ("train.evaluate_every=1", "train.checkpoint_every=1", "train.keep_checkpoints=1")
    summary, lines = run(tiny_recipe(tmp_path, base, *every_step))
    held_out = {line["step"]: line["loss"] for line in lines if line["split"] == "eval"}
    assert (summary["best_step"], summary["eval"]["loss"]) == (2, held_out[2])
    checkpoints = tmp_path / "run" / "checkpoints"
    assert sorted(folder.name for folder in checkpoints.iterdir()) == ["step-000002", "step-000004"]
    published = tmp_path / "run" / "adapter" / "adapter_model.safetensors"
    best, last = (checkpoint_folder(checkpoints, step) / published.name for step in (2, 4))
    assert published.read_bytes() == best.read_bytes() != last.read_bytes()
