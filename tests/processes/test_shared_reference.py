"""Reference log-probabilities that processes share: each completion is one process's to compute."""

from __future__ import annotations

from pathlib import Path

import pytest
from several import largest_difference, train_in

from palate.train import RunFolder
from tiny_run import rows, tiny_recipe, write_rows

UNEVEN = ("train.batch_size=5", "train.micro_batch_tokens=40", "train.max_steps=3")


def counts(folder: Path) -> tuple[int, int]:
    """Completions computed, and found in the cache, over all processes."""
    summary = RunFolder(folder).read("summary.json")
    return tuple(summary[f"num_reference_completions_{name}"] for name in ("computed", "cached"))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("parallel", "objective"),
    [
        ("ddp", "dpo"),
        pytest.param("ddp", "kto", marks=pytest.mark.thorough),
        pytest.param("fsdp2", "dpo", marks=pytest.mark.thorough),
        pytest.param("fsdp2", "kto", marks=pytest.mark.thorough),
    ],
)
def test_several_compute_as_many_as_one(tmp_path: Path, base: Path, parallel: str, objective: str) -> None:
    data = write_rows(tmp_path / "pairs.jsonl", rows(13))
    options = (*UNEVEN, f"objective.type={objective}")

    def run(size: int, name: str, *more: str) -> Path:
        recipe = tiny_recipe(tmp_path, base, *options, *more, name=name, data=data)
        return train_in(size, recipe, home=tmp_path / ("home of one" if size == 1 else "home of several"))

    (computed, cached), others = counts(run(1, "one")), f"parallel={parallel}"
    assert computed > 0 == cached
    assert counts(run(2, "two", others)) == (computed, 0)
    assert counts(run(2, "again", others, "train.learning_rate=1e-4")) == (0, computed)
    assert counts(run(3, "more", others)) == (0, computed)


def test_two_runs_of_two_processes_are_equal_to_the_last_bit(tmp_path: Path, base: Path) -> None:
    """Whichever process is first; each run has a cache of its own."""
    data = write_rows(tmp_path / "pairs.jsonl", rows(13))
    recipes = (tiny_recipe(tmp_path, base, *UNEVEN, name=name, data=data) for name in ("ours", "theirs"))
    ours, theirs = (train_in(2, recipe, home=Path(f"{recipe.output} home")) for recipe in recipes)
    assert largest_difference(ours, theirs)[0] == 0.0
