"""Runs of two processes that were killed, and go on: in two, in one, whole or divided."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from resuming import differences
from several import in_processes, largest_difference, said, train_in

from palate.errors import RecipeError
from palate.pipeline import resume_run, train_stage
from palate.recipe import Recipe
from palate.train import RunFolder
from palate.train.loop import Trainer
from tiny_run import rows, tiny_recipe, write_rows

COMMON = (
    "train.batch_size=5",
    "train.max_steps=6",
    "train.schedule=cosine",
    "train.checkpoint_every=2",
    "train.evaluate_every=3",
    "train.micro_batch_tokens=60",
)
DROPOUT = "model.adapter={rank: 4, alpha: 8, dropout: 0.2}"
FULL = "model.adapter=null"
LOST = 1  # the exit code of a process that misses another
KILL_AT_STEP = 5


def recipe_of(folder: Path, base: Path, name: str, *more: str) -> Recipe:
    data = folder / "pairs.jsonl"
    if not data.exists():
        write_rows(data, rows(13))
    return tiny_recipe(folder, base, *COMMON, *more, name=name, data=data)


def kill_one_of_two(recipe: Recipe, victim: int) -> None:
    """Before the optimizer of step 5, when the checkpoint of step 4 is the newest."""

    def work(rank: int) -> None:
        steps = 0
        step = torch.optim.AdamW.step

        def counted(self: torch.optim.AdamW) -> None:
            nonlocal steps
            steps += 1
            if steps == KILL_AT_STEP and rank == victim:
                os.kill(os.getpid(), signal.SIGKILL)
            step(self)

        torch.optim.AdamW.step = counted  # type: ignore[method-assign,assignment]
        train_stage(recipe)

    codes = in_processes(2, work)
    assert codes[victim] == -signal.SIGKILL
    assert codes[1 - victim] == LOST
    assert "another process of this run has gone" in said(1 - victim)


def resume_in(size: int, folder: Path, *overrides: str) -> None:
    codes = in_processes(size, lambda rank: resume_run(folder, overrides=["compare=null", *overrides]))
    assert codes == [0] * size


@pytest.mark.parametrize(
    ("victim", "options"),
    [
        (1, (DROPOUT,)),
        pytest.param(0, (DROPOUT, "objective.type=kto"), marks=pytest.mark.thorough),
        pytest.param(0, (FULL,), marks=pytest.mark.thorough),
        pytest.param(1, (DROPOUT, "parallel=fsdp2"), marks=pytest.mark.thorough),
        (0, (FULL, "parallel=fsdp2")),
    ],
    ids=str,
)
def test_two_processes_go_on_bit_for_bit(
    tmp_path: Path, base: Path, victim: int, options: tuple[str, ...]
) -> None:
    whole, killed = (recipe_of(tmp_path, base, name, *options) for name in ("whole", "killed"))
    train_in(2, whole)
    kill_one_of_two(killed, victim)
    assert not RunFolder(killed.output).has("summary.json")
    train_in(2, killed)
    folders = Path(killed.output), Path(whole.output)
    assert largest_difference(*folders)[0] == 0.0
    # Weights, moments and generators; the clock is in the other lines.
    assert [line for line in differences(*folders) if line.startswith("tensor")] == []


@pytest.mark.parametrize(
    ("options", "sizes", "ways"),
    [
        (("model.adapter.rank=4",), (2, 1), ("ddp", "ddp")),
        pytest.param(("model.adapter.rank=4",), (2, 2), ("fsdp2", "ddp"), marks=pytest.mark.thorough),
        ((FULL,), (2, 2), ("ddp", "fsdp2")),
        ((FULL,), (2, 1), ("fsdp2", "ddp")),
        pytest.param((FULL,), (2, 3), ("fsdp2", "fsdp2"), marks=pytest.mark.thorough),
        pytest.param(("reference.sync_every=2",), (2, 2), ("ddp", "fsdp2"), marks=pytest.mark.thorough),
    ],
    ids=str,
)
def test_another_number_and_another_way_go_on(
    tmp_path: Path, base: Path, options: tuple[str, ...], sizes: tuple[int, int], ways: tuple[str, str]
) -> None:
    """Equal to one process that was never stopped, to 1e-6: the checkpoint is the same whoever wrote it."""
    one = train_in(1, recipe_of(tmp_path, base, "one", *options))
    killed = recipe_of(tmp_path, base, "killed", *options, f"parallel={ways[0]}")
    kill_one_of_two(killed, victim=1)
    resume_in(sizes[1], Path(killed.output), f"parallel={ways[1]}")
    difference, where = largest_difference(Path(killed.output), one)
    assert difference < 1e-6, where


def test_resuming_takes_no_override_that_makes_another_run(tmp_path: Path, base: Path) -> None:
    recipe = recipe_of(tmp_path, base, "run")
    train_in(1, recipe)
    with pytest.raises(RecipeError, match="another run lives in this folder"):
        resume_run(Path(recipe.output), overrides=["train.learning_rate=1e-2"])


@pytest.mark.parametrize(
    ("size", "way", "error"),
    [(1, "fsdp2", "one process alone has no one to divide the model with"), (2, "ddp", None)],
)
def test_a_model_is_divided_among_several(
    tmp_path: Path, base: Path, size: int, way: str, error: str | None
) -> None:
    recipe = recipe_of(tmp_path, base, "run", f"parallel={way}", "train.max_steps=1")
    codes = in_processes(size, lambda rank: train_stage(recipe))
    assert codes == [2 if error else 0] * size
    if error:
        assert error in said(0)


def test_each_process_holds_a_part(tmp_path: Path, base: Path) -> None:
    """Of weights, gradients and optimizer state; an adapter and its state are whole."""

    def parts_of(options: tuple[str, ...]) -> list[float]:
        recipe = recipe_of(tmp_path, base, f"run{len(options[0])}", "parallel=fsdp2", *options)
        found = tmp_path / f"part{len(options[0])}"

        def work(rank: int) -> None:
            import palate.train.session as session

            saved = session.save

            def save(trainer: Trainer) -> None:
                saved(trainer)
                policy = trainer.source.policy
                policy.trainable_parameters()  # lets go of what is gathered
                held = [_share_held(p) for p in policy.base_model.model.layers.parameters() if p.ndim == 2]
                state = [_share_held(s["exp_avg"]) for s in trainer.optimizer.state.values()]
                found.with_suffix(f".{rank}").write_text(f"{min(held)} {max(held)} {min(state)} {max(state)}")

            session.save = save
            train_stage(recipe)

        assert in_processes(2, work) == [0, 0]
        return [float(x) for x in found.with_suffix(".1").read_text().split()]

    assert parts_of((FULL,)) == [0.5, 0.5, 0.5, 0.5]
    assert parts_of(("model.adapter.rank=4",)) == [0.5, 1.0, 1.0, 1.0]


def _share_held(tensor: torch.Tensor) -> float:
    local = tensor.to_local() if isinstance(tensor, torch.distributed.tensor.DTensor) else tensor
    return local.numel() / tensor.numel()
