"""Promises 7 and 14: where memory or the disk ends, the work does not."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from resuming import Clock, differences

from palate.durable import system
from palate.errors import ArtifactError, TrainingError
from palate.pipeline import train_stage
from palate.recipe import Recipe
from palate.train.checkpoint import newest_whole
from palate.train.inputs import Computation, Source
from palate.watcher import Watcher
from tiny_run import losses, metrics, rows, tiny_recipe, write_rows


class Notes(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def recipe_of(folder: Path, base: Path, *overrides: str, name: str = "run") -> Recipe:
    write_rows(folder / "rows.jsonl", rows(10, completions_per_prompt=3))
    return tiny_recipe(
        folder,
        base,
        "train.batch_size=8",
        "train.micro_batch_tokens=3840",
        "compare=null",
        *overrides,
        name=name,
    )


def little_memory(monkeypatch: pytest.MonkeyPatch, most_tokens: int) -> list[int]:
    """Rows above so many tokens do not fit; the sizes of those that were tried."""
    # In a model this small attention outweighs all else, and every pair would be a row of its own.
    monkeypatch.setattr("palate.train.memory._DENSE_ATTENTION_SLOWDOWN", 1e-3)
    compute, tried = Source.compute, []

    def limited(self: Source, *args: Any, **kwargs: Any) -> Computation:
        computed = compute(self, *args, **kwargs)
        if self.policy.model.training:
            tried.append(computed.num_computed)
            if computed.num_computed > most_tokens:
                raise torch.OutOfMemoryError("CUDA out of memory. Made up for a test")
        return computed

    monkeypatch.setattr(Source, "compute", limited)
    return tried


@pytest.mark.parametrize("objective", ["dpo", "kto", "aot"])
def test_rows_shrink_and_the_batch_does_not(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    said = f"objective={{type: {objective}}}"
    with monkeypatch.context() as patch:
        patch.setattr("palate.train.memory._DENSE_ATTENTION_SLOWDOWN", 1e-3)
        train_stage(recipe_of(tmp_path, base, said, name="plenty"))
    notes = Notes()
    with monkeypatch.context() as patch:
        tried = little_memory(patch, 60)
        summary = train_stage(recipe_of(tmp_path, base, said, name="little"), notes)
    assert max(tried) > 60, "it was tried, and did not fit"
    assert summary["max_row_tokens"] < 3840
    assert any("out of memory" in note for note in notes.notes)
    plenty, little = (metrics(tmp_path / name) for name in ("plenty", "little"))
    assert losses(little) == pytest.approx(losses(plenty), abs=1e-5)
    norms = ([line["grad_norm"] for line in lines if line["split"] == "train"] for lines in (little, plenty))
    assert next(norms) == pytest.approx(next(norms), rel=1e-4)


def test_what_fitted_is_kept_for_the_steps_after(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = little_memory(monkeypatch, 60)
    train_stage(recipe_of(tmp_path, base))
    too_large = [i for i, size in enumerate(tried) if size > 60]
    assert too_large and max(too_large) < len(tried) - 10, "found out once, not at every step"


def test_one_example_that_does_not_fit_is_an_error(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    little_memory(monkeypatch, 5)
    with pytest.raises(TrainingError, match="out of memory at step 1") as caught:
        train_stage(recipe_of(tmp_path, base))
    assert "gradient_checkpointing" in caught.value.next and "Made up" in caught.value.why


def test_dropout_falls_in_a_step_that_was_begun_twice_as_in_one_begun_once(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With rows short from the start and rows that had to be shortened: the same numbers drawn."""
    dropout = "model.adapter.dropout=0.3"
    monkeypatch.setattr("palate.train.loop.time", Clock())
    with monkeypatch.context() as patch:
        little_memory(patch, 60)
        found = train_stage(recipe_of(tmp_path, base, dropout, name="found"))
    with monkeypatch.context() as patch:
        little_memory(patch, 10**6)
        short = f"train.micro_batch_tokens={found['max_row_tokens']}"
        train_stage(recipe_of(tmp_path, base, dropout, short, name="known"))
        train_stage(recipe_of(tmp_path, base, "model.adapter.dropout=0", short, name="without"))
    drawn, known, without = (losses(metrics(tmp_path / name)) for name in ("found", "known", "without"))
    assert drawn == pytest.approx(known, abs=1e-6)
    assert known[-1] != pytest.approx(without[-1], abs=1e-4), "dropout is seen in the losses"


LIMITED = """
import resource, sys
import torch
torch.set_num_threads(1)
from palate.pipeline import train_stage
from palate.recipe import load_recipe
import palate.train.memory
palate.train.memory._DENSE_ATTENTION_SLOWDOWN = 1e-3
recipe = load_recipe(sys.argv[1])
from palate.train.inputs import Source
compute = Source.compute
def first(self, *args, **kwargs):
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv[2]), resource.RLIM_INFINITY))
    Source.compute = compute
    return compute(self, *args, **kwargs)
Source.compute = first
print(train_stage(recipe)["max_row_tokens"])
"""


def test_the_systems_own_refusal_is_understood(tmp_path: Path, base: Path) -> None:
    """The address space of a real process ends in the middle of its first step."""
    from palate.recipe import write_recipe

    long = [
        {"prompt": f"Say {i}", "chosen": f"{i} stone " * 60, "rejected": f"{i} bread " * 60}
        for i in range(12)
    ]
    recipe = recipe_of(tmp_path, base, "train.max_steps=1", "data.eval_fraction=0", "train.batch_size=12")
    write_rows(tmp_path / "rows.jsonl", long)
    write_recipe(recipe, tmp_path / "recipe.yaml")
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "recipe.yaml"), str(48 * 2**20)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) < 3840


def test_a_full_disk_leaves_the_last_good_checkpoint(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up while the second checkpoint is written; with space again the run goes on."""
    monkeypatch.setattr("palate.train.loop.time", Clock())
    every = ("train.checkpoint_every=2", "train.evaluate_every=100", "train.max_steps=6")
    train_stage(recipe_of(tmp_path, base, *every, name="whole"))
    recipe = recipe_of(tmp_path, base, *every, name="stopped")
    checkpoints = Path(recipe.output) / "checkpoints"

    def full(*args: Any) -> Any:
        if (checkpoints / "step-000002").exists() and ".step-000004" in str(args[0]):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(*args)

    with monkeypatch.context() as patch:
        opened = system.open_file
        patch.setattr(system, "open_file", full)
        with pytest.raises(ArtifactError, match="No space left") as caught:
            train_stage(recipe)
    assert caught.value.next
    assert newest_whole(checkpoints, pytest.fail) == checkpoints / "step-000002"
    train_stage(recipe)
    assert not differences(tmp_path / "stopped", tmp_path / "whole")


def test_memory_that_ends_in_the_optimizers_step_is_told(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing shorter helps there: half of the weights may have moved already."""

    def no_room(self: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Made up for a test")

    monkeypatch.setattr(torch.optim.AdamW, "step", no_room)
    with pytest.raises(TrainingError, match="out of memory at step 1, in the optimizer's step") as caught:
        train_stage(recipe_of(tmp_path, base))
    assert "adamw_8bit" in caught.value.next
