"""Asked to stop, a run saves, says how to go on, and goes on as if it had not stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from resuming import Clock, differences
from safetensors.torch import load_file, save_file

from palate.errors import ArtifactError, RecipeError
from palate.pipeline import train_stage
from palate.recipe import Recipe, dump_recipe, load_recipe, parse_recipe, write_recipe
from palate.train import Interrupted, RunFolder
from palate.train.inputs import Computation, Source
from palate.watcher import Watcher
from tiny_run import metrics, rows, tiny_recipe, write_rows

# Four rows a step: the 16th row is the last of the fourth step, after which there is an evaluation.
LONG = (
    "train.max_steps=6",
    "train.checkpoint_every=100",
    "train.evaluate_every=4",
    "train.micro_batch_tokens=1",
    "compare=null",
)
DROPOUT = "model.adapter={rank: 4, alpha: 8, dropout: 0.2}"


@pytest.fixture
def whole(tmp_path: Path, base: Path, steady_clock: None) -> Path:
    train_stage(tiny_recipe(tmp_path, base, *LONG, DROPOUT, name="whole"))
    return tmp_path / "whole"


@pytest.fixture
def steady_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.train.loop.time", Clock())


def asked_at(monkeypatch: pytest.MonkeyPatch, row: int, number: int) -> None:
    """Get the signal while that row goes through the model, the first time it does."""
    compute, seen = Source.compute, {"rows": 0}

    def computed(self: Source, *args: object, **kwargs: object) -> Computation:
        seen["rows"] += 1
        if seen["rows"] == row:
            os.kill(os.getpid(), number)
        return compute(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Source, "compute", computed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.parametrize("row", [7, 16, 18], ids=["mid-accumulation", "at a step's end", "in an evaluation"])
def test_it_saves_says_how_to_go_on_and_goes_on(
    tmp_path: Path, base: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, number: int, row: int
) -> None:
    recipe = tiny_recipe(tmp_path, base, *LONG, DROPOUT, name="stopped")
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        asked_at(patch, row, number)
        with pytest.raises(Interrupted, match="its checkpoint is saved") as caught:
            train_stage(recipe)
    assert caught.value.exit_code == 128 + number
    assert f"palate resume {recipe.output}" in caught.value.next
    assert signal.getsignal(number) == before, "afterwards signals are whose they were"
    assert len(list((tmp_path / "stopped" / "checkpoints").glob("step-*"))) >= 1
    assert not RunFolder(recipe.output).is_done()
    train_stage(recipe)
    assert not differences(tmp_path / "stopped", whole)


def test_before_the_first_step_there_is_nothing_to_save(
    tmp_path: Path, base: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(tmp_path, base, *LONG, DROPOUT, name="stopped")
    with monkeypatch.context() as patch:
        asked_at(patch, 1, signal.SIGTERM)
        with pytest.raises(Interrupted, match="stopped before its first step"):
            train_stage(recipe)
    assert not list((tmp_path / "stopped").glob("checkpoints/step-*"))
    train_stage(recipe)
    assert not differences(tmp_path / "stopped", whole)


def test_the_second_ctrl_c_does_not_wait(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(self: Source, *args: object, **kwargs: object) -> Computation:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("it went on")

    monkeypatch.setattr(Source, "compute", twice)
    with pytest.raises(KeyboardInterrupt):
        train_stage(tiny_recipe(tmp_path, base, *LONG))


def test_the_command_stops_in_good_order(tmp_path: Path, base: Path) -> None:
    """The whole of it, from the shell: SIGTERM, exit code 143, `palate resume`, done."""
    recipe = tiny_recipe(tmp_path, base, "train.max_steps=4000", "train.epochs=2000", "compare=null")
    write_recipe(recipe, tmp_path / "recipe.yaml")
    command = [sys.executable, "-m", "palate", "run", str(tmp_path / "recipe.yaml")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.read_text().count("\n") > 3):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "Traceback" not in said
    assert f"palate resume {tmp_path / 'run'}" in said
    newest = max((tmp_path / "run" / "checkpoints").glob("step-*"))
    step = int(newest.name.removeprefix("step-"))
    assert f"after step {step} of 4000" in said


def test_two_runs_in_one_folder_are_kept_apart(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(tmp_path, base, "compare=null")
    with RunFolder(recipe.output).lock(), pytest.raises(RecipeError, match="another process is training"):
        train_stage(recipe)
    assert train_stage(recipe)["status"] == "done"


class Notes(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def halfway(recipe: Recipe, monkeypatch: pytest.MonkeyPatch, row: int) -> None:
    with monkeypatch.context() as patch:
        asked_at(patch, row, signal.SIGTERM)
        with pytest.raises(Interrupted):
            train_stage(recipe)


def test_a_damaged_checkpoint_is_named_and_passed_over(
    tmp_path: Path, base: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(tmp_path, base, *LONG, DROPOUT, name="stopped")
    halfway(recipe, monkeypatch, 7)
    halfway(recipe, monkeypatch, 7)
    newest = max((tmp_path / "stopped" / "checkpoints").glob("step-*"))
    damaged = newest / "adapter_model.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(bytes(content))
    notes = Notes()
    train_stage(recipe, notes)
    assert any(newest.name in note and "adapter_model.safetensors" in note for note in notes.notes)
    assert not differences(tmp_path / "stopped", whole)


def edit_rows(folder: Path) -> None:
    rows = folder / "rows.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[1:]))


def edit_margins(folder: Path) -> None:
    rows = folder / "told.jsonl"
    rows.write_text(rows.read_text().replace('"gap": 1.0', '"gap": 9.0'))


def edit_held_out(folder: Path) -> None:
    rows = folder / "held_out.jsonl"
    swapped = rows.read_text().replace("chosen", "?").replace("rejected", "chosen").replace("?", "rejected")
    rows.write_text(swapped)


def edit_base(folder: Path) -> None:
    file = folder / "base" / "model.safetensors"
    weights = load_file(file)
    save_file({name: tensor * 1.01 for name, tensor in weights.items()}, file, metadata={"format": "pt"})


def edit_recipe(folder: Path) -> None:
    file = folder / "run" / "recipe.yaml"
    file.write_text(file.read_text().replace("learning_rate: 0.001", "learning_rate: 0.002"))


def edit_adapter(folder: Path) -> None:
    file = folder / "first" / "adapter" / "adapter_model.safetensors"
    save_file({name: tensor + 0.01 for name, tensor in load_file(file).items()}, file)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (edit_rows, "the training data changed"),
        (edit_margins, "the training data changed"),
        (edit_held_out, "the held-out data changed"),
        (edit_base, "the base model changed"),
        (edit_recipe, "the recipe changed"),
        (edit_adapter, "the adapter it starts from changed"),
    ],
)
def test_what_changed_meanwhile_is_refused_by_name(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, edit: Callable[[Path], None], said: str
) -> None:
    """To go on would make a model that no recipe describes."""
    own = tmp_path / "base"
    shutil.copytree(base, own)
    write_rows(tmp_path / "held_out.jsonl", [row | {"prompt": "?" + row["prompt"]} for row in rows(3)])
    told = write_rows(tmp_path / "told.jsonl", [row | {"gap": 1.0} for row in rows(12)])
    options: list[str] = [f"data.eval.source={tmp_path / 'held_out.jsonl'}"]
    if edit is edit_margins:
        options.append(f"data.train={{source: {told}, margin_column: gap}}")
    if edit is edit_adapter:
        train_stage(tiny_recipe(tmp_path, own, *LONG, "train.learning_rate=1e-2", name="first"))
        options.append(f"model.adapter={{type: existing, path: {tmp_path / 'first'}}}")
    tiny_recipe(tmp_path, own)  # writes rows.jsonl
    text = dump_recipe(tiny_recipe(tmp_path, own, *LONG)).replace("  eval_fraction: 0.25\n", "")
    recipe = parse_recipe(text, options)
    halfway(recipe, monkeypatch, 7)
    edit(tmp_path)
    with pytest.raises(ArtifactError, match=said) as caught:
        train_stage(load_recipe(tmp_path / "run" / "recipe.yaml"))
    assert "step-000001" in caught.value.where


def test_a_result_that_was_removed_comes_back(tmp_path: Path, base: Path) -> None:
    recipe = tiny_recipe(tmp_path, base, "compare=null")
    train_stage(recipe)
    adapter = tmp_path / "run" / "adapter"
    before = (adapter / "adapter_model.safetensors").read_bytes()
    shutil.rmtree(adapter)
    train_stage(recipe)
    assert (adapter / "adapter_model.safetensors").read_bytes() == before
    assert len(metrics(tmp_path / "run", "train")) == 4, "nothing was trained again"
