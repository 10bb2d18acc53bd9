"""Promise 3: kill -9 and resume equals the uninterrupted run, bit for bit."""

from __future__ import annotations

import dataclasses
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from resuming import differences, events_of, kill_after, noisy, train_and_die, train_through, worsening

from palate.recipe import Recipe
from palate.train.checkpoint import SavedState, load_state, newest_whole, save_checkpoint
from palate.train.inputs import Source
from palate.train.progress import Progress
from tiny_run import rows, tiny_recipe, write_rows

COMMON = (
    "train.max_steps=6",
    "train.learning_rate=1e-2",
    "train.schedule=cosine",
    "train.checkpoint_every=2",
    "train.evaluate_every=3",
    "train.keep_checkpoints=1",
)
DROPOUT = "model.adapter={rank: 4, alpha: 8, dropout: 0.2}"
SETUPS = {
    "dpo": ("objective={type: dpo}", DROPOUT),
    "full": ("objective={type: dpo}", "model.adapter=null"),
    "kto": ("objective={type: kto}", DROPOUT),
    "reward": ("objective={type: reward}", DROPOUT),
    "tr-dpo": ("objective={type: dpo}", DROPOUT, "reference.sync_every=2"),
    "bco": ("objective={type: bco}", DROPOUT),
    "aot": ("objective={type: aot}", DROPOUT),
}


def recipe_of(folder: Path, base: Path, setup: str, name: str, *more: str) -> Recipe:
    write_rows(folder / "rows.jsonl", rows(10, completions_per_prompt=2))
    return tiny_recipe(folder, base, *COMMON, *SETUPS[setup], *more, "compare=null", name=name)


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("num_kills", [4, pytest.param(20, marks=pytest.mark.thorough)], ids=["few", "many"])
def test_a_killed_run_goes_on_as_if_nothing_had_been(
    tmp_path: Path, base: Path, setup: str, num_kills: int
) -> None:
    """At random moments, and always mid-accumulation, in an evaluation, in a save, and before a step."""
    whole = recipe_of(tmp_path, base, setup, "whole")
    events = events_of(whole, noisy)
    first_row = events.index("row")
    kinds = {"row": "row", "evaluation": "evaluation", "step": "step", "file: replace": "save"}
    assert set(kinds) <= set(events)
    rng = random.Random(f"{setup} {num_kills}")
    chosen = {rng.choice([i for i, event in enumerate(events) if event == kind]) for kind in kinds}
    chosen |= set(rng.sample(range(first_row, len(events)), max(0, num_kills - len(chosen))))
    for event in sorted(chosen):
        killed = recipe_of(tmp_path, base, setup, f"killed-{event}")
        train_and_die(killed, noisy, event)
        assert train_through(killed, noisy) == 0
        found = differences(Path(killed.output), Path(whole.output))
        assert not found, (event, events[event], found[:3])


def test_killed_again_and_again(tmp_path: Path, base: Path) -> None:
    """A run that never gets far before it is killed still arrives."""
    whole = recipe_of(tmp_path, base, "dpo", "whole")
    num_events = len(events_of(whole, noisy))
    killed = recipe_of(tmp_path, base, "dpo", "killed")
    for part in (0.25, 0.5, 0.2, 0.2, 0.1):
        # What is left to do grows less, so each time it is killed sooner.
        train_and_die(killed, noisy, int(part * num_events))
    assert train_through(killed, noisy) == 0
    assert not differences(Path(killed.output), Path(whole.output))


@pytest.mark.thorough
@pytest.mark.parametrize("setup", SETUPS)
def test_killed_from_outside(tmp_path: Path, base: Path, setup: str) -> None:
    whole = recipe_of(tmp_path, base, setup, "whole")
    assert train_through(whole, noisy) == 0
    rng = random.Random(setup)
    num_killed = 0
    for number in range(10):
        killed = recipe_of(tmp_path, base, setup, f"killed-{number}")
        num_killed += kill_after(rng.uniform(0.05, 1.0), killed, noisy)
        assert train_through(killed, noisy) == 0
        assert not differences(Path(killed.output), Path(whole.output))
    assert num_killed > 3


# What is dropped, and a set-up in which it matters.
Drop = Callable[[SavedState, SavedState], None]


def drop_tensors(part: str, saved: SavedState, fresh: SavedState) -> None:
    names = [name for name in saved.tensors if name.startswith(part)]
    assert names
    for name in names:
        now = saved.tensors[name]
        saved.tensors[name] = torch.zeros_like(now) if part == "reference." else fresh.tensors[name]
        assert not torch.equal(saved.tensors[name], now), name


def drop_moment(suffix: str, saved: SavedState, fresh: SavedState) -> None:
    names = [n for n in saved.tensors if n.startswith("optimizer.") and n.endswith(suffix)]
    assert names, sorted(saved.tensors)
    for name in names:
        saved.tensors[name] = torch.zeros_like(saved.tensors[name])


def drop_progress(name: str, saved: SavedState, fresh: SavedState) -> None:
    now = saved.state["progress"][name]
    default = dataclasses.asdict(Progress())[name]
    assert now != default, f"{name} is {now} either way: this set-up proves nothing"
    saved.state["progress"][name] = default


def drop_generator(name: str, saved: SavedState, fresh: SavedState) -> None:
    saved.state["random"][0][name] = fresh.state["random"][0][name]


EARLY = ("train.early_stopping={patience: 4}", "train.evaluate_every=1")
STOPS = ("train.early_stopping={patience: 2}", "train.evaluate_every=1")
ITEMS: dict[str, tuple[str, tuple[str, ...], Drop]] = {
    "exp_avg": ("dpo", (), partial(drop_moment, ".exp_avg")),
    "exp_avg_sq": ("dpo", (), partial(drop_moment, ".exp_avg_sq")),
    "optimizer step": ("dpo", (), partial(drop_moment, ".step")),
    "torch's generator": ("dpo", (), partial(drop_tensors, "random.0.torch")),
    "Python's generator": ("dpo", (), partial(drop_generator, "python")),
    "numpy's generator": ("dpo", (), partial(drop_generator, "numpy")),
    "the reference": ("tr-dpo", (), partial(drop_tensors, "reference.")),
    "max_row_tokens": ("dpo", ("train.micro_batch_tokens=100000",), partial(drop_progress, "max_row_tokens")),
    **{
        name: (setup, more, partial(drop_progress, name))
        for name, setup, more in (
            ("step", "dpo", ()),
            ("last_evaluated", "dpo", EARLY),
            ("best_step", "dpo", EARLY),
            ("best_value", "dpo", EARLY),
            ("best_figures", "dpo", EARLY),
            ("num_stale_evaluations", "dpo", EARLY),
            ("reference_value", "dpo", EARLY),
            ("stopped_early", "dpo", STOPS),
            ("reward_total", "bco", ()),
            ("num_rewards", "bco", ()),
            ("loss_scale", "dpo", ("model.dtype=float16",)),
            ("num_steps_since_scaling", "dpo", ("model.dtype=float16",)),
            ("seconds", "dpo", ()),
            ("num_examples", "dpo", ()),
            ("tokens_computed", "dpo", ()),
            ("tokens_represented", "dpo", ()),
        )
    },
}


def troubled(patch: pytest.MonkeyPatch) -> None:
    """Noisy, out of memory once at the very first step, and a loss scale that soon grows."""
    noisy(patch)
    patch.setattr("palate.train.progress._STEPS_BETWEEN_SCALINGS", 5)
    patch.setattr("palate.train.memory._DENSE_ATTENTION_SLOWDOWN", 1e-3)
    compute, state = Source.compute, {"calls": 0}

    def short_of_memory(self: Source, *args: Any, **kwargs: Any) -> Any:
        state["calls"] += 1
        weights = [
            float(w.detach().abs().sum()) for n, w in self.policy.model.named_parameters() if "lora_B" in n
        ]
        if not any(weights) and len(args[0]) > 1 and self.policy.model.training:
            raise torch.OutOfMemoryError("made up")
        return compute(self, *args, **kwargs)

    patch.setattr(Source, "compute", short_of_memory)


def test_every_item_is_dropped_in_some_test() -> None:
    names = {field.name for field in dataclasses.fields(Progress)}
    assert names <= set(ITEMS)


@pytest.mark.parametrize("item", ITEMS)
def test_without_any_one_item_it_is_another_run(tmp_path: Path, base: Path, item: str) -> None:
    """The saved state holds nothing that is not needed, and the test above would see it missing."""
    setup, more, drop = ITEMS[item]
    prepare = troubled if item == "max_row_tokens" or "model.dtype=float16" in more else worsening
    keep = "train.keep_checkpoints=9"
    whole = recipe_of(tmp_path, base, setup, "whole", *more, keep)
    assert train_through(whole, prepare) == 0
    same, other = (recipe_of(tmp_path, base, setup, name, *more, keep) for name in ("same", "other"))
    for recipe in (same, other):
        halfway(Path(whole.output), Path(recipe.output), item)
    change(Path(other.output), drop)
    assert train_through(same, prepare) == 0
    assert not differences(Path(same.output), Path(whole.output)), "as it was saved it is the same run"
    code = train_through(other, prepare)
    assert code != 0 or differences(Path(other.output), Path(whole.output)), "and without it another"


def halfway(whole: Path, copy: Path, item: str) -> None:
    """The folder of a run as it was when it was killed after a checkpoint in its middle."""
    shutil.copytree(whole, copy)
    for name in ("summary.json",):
        (copy / name).unlink()
    shutil.rmtree(copy / "adapter", ignore_errors=True)
    recipe = (copy / "recipe.yaml").read_text().replace(str(whole), str(copy))
    (copy / "recipe.yaml").write_text(recipe)
    folders = sorted((copy / "checkpoints").glob("step-*"))
    wanted = folders[-1] if item == "stopped_early" else folders[-2]
    for folder in folders:
        if folder.name > wanted.name:
            shutil.rmtree(folder)


def change(run: Path, drop: Drop) -> None:
    """Save the newest checkpoint again without the item."""
    checkpoints = run / "checkpoints"
    newest = newest_whole(checkpoints, lambda text: None)
    assert newest is not None
    saved, fresh = load_state(newest), load_state(min(checkpoints.glob("step-*")))
    aside = newest.rename(run.parent / "aside")
    drop(saved, fresh)

    def write_weights(folder: Path) -> None:
        for file in aside.iterdir():
            if not file.name.startswith(("state.", "manifest")):
                shutil.copy(file, folder / file.name)

    save_checkpoint(checkpoints, saved.step, write_weights, saved.tensors, saved.state)
