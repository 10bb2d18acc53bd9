"""A reference log-probability is computed once on a machine, whatever the next run changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tiny_run import losses, rows, run, tiny_recipe, write_base, write_rows

OTHER = (
    "train.learning_rate=3e-4",
    "model.adapter.rank=2",
    "seed=7",
    "objective={type: ipo, beta: 0.5}",
    "train.batch_size=3",
)


def counts(summary: dict[str, object]) -> tuple[object, object]:
    return (
        summary["num_reference_completions_computed"],
        summary["num_reference_completions_cached"],
    )


@pytest.mark.parametrize("steps", ["null", "2"])
def test_another_rate_rank_seed_and_objective_compute_nothing(tmp_path: Path, base: Path, steps: str) -> None:
    """`train.max_steps` too: a short run visits the same pairs whatever its seed."""
    shared = (f"train.max_steps={steps}", "train.epochs=1")
    first, _ = run(tiny_recipe(tmp_path, base, *shared, name="first"))
    second, lines = run(tiny_recipe(tmp_path, base, *shared, *OTHER[:4], name="second"))
    computed, cached = counts(first)
    assert (computed, cached) == ((24, 0) if steps == "null" else (22, 0))
    assert counts(second) == (0, computed)
    assert len(losses(lines)) == first["num_steps"]


def test_what_comes_from_the_cache_is_what_was_computed(tmp_path: Path, base: Path) -> None:
    fresh = run(tiny_recipe(tmp_path, base, name="fresh"))[1]
    cached = run(tiny_recipe(tmp_path, base, name="cached"))[1]
    assert losses(fresh) == losses(cached)


def test_full_fine_tuning_shares_nothing_wrong(tmp_path: Path, base: Path) -> None:
    """Its reference must be the base as it was, not the weights as they have become."""
    adapted, _ = run(tiny_recipe(tmp_path, base, name="adapted"))
    full, lines = run(tiny_recipe(tmp_path, base, "model.adapter=null", name="full"))
    assert counts(full) == (0, counts(adapted)[0])
    assert lines[0]["loss"] == pytest.approx(0.6931472, abs=1e-6)


def test_more_pairs_compute_only_what_is_new(tmp_path: Path, base: Path) -> None:
    one = write_rows(tmp_path / "one.jsonl", rows(6))
    two = write_rows(tmp_path / "two.jsonl", rows(8))
    everything = ("train.max_steps=null", "train.epochs=1")
    first, _ = run(tiny_recipe(tmp_path, base, *everything, data=one, name="first"))
    second, _ = run(tiny_recipe(tmp_path, base, *everything, data=two, name="second"))
    assert counts(first) == (12, 0)
    assert counts(second) == (4, 12)


def test_another_base_recomputes(tmp_path: Path, base: Path) -> None:
    other = write_base(tmp_path / "other", seed=1)
    first, _ = run(tiny_recipe(tmp_path, base, name="first"))
    second, _ = run(tiny_recipe(tmp_path, other, name="second"))
    assert counts(first) == counts(second)
    assert counts(second)[1] == 0


def test_a_base_changed_in_place_recomputes_and_a_copy_does_not(tmp_path: Path, base: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(base, mine)
    run(tiny_recipe(tmp_path, base, name="first"))
    copied, _ = run(tiny_recipe(tmp_path, mine, name="copied"))
    assert counts(copied)[0] == 0
    write_base(mine, seed=5)
    changed, _ = run(tiny_recipe(tmp_path, mine, name="changed"))
    assert counts(changed)[1] == 0


@pytest.mark.parametrize("change", ["model.dtype=bfloat16", "model.attention=eager", "train.layout=padded"])
def test_other_numerics_recompute(tmp_path: Path, base: Path, change: str) -> None:
    """Policy and reference are compared to the last bits, so they are computed alike."""
    run(tiny_recipe(tmp_path, base, name="first"))
    second, lines = run(tiny_recipe(tmp_path, base, change, name="second"))
    assert counts(second)[1] == 0
    assert lines[0]["rewards_margin"] == 0


def test_sft_asks_for_none(tmp_path: Path, base: Path) -> None:
    summary, _ = run(tiny_recipe(tmp_path, base, "objective={type: sft}"))
    assert counts(summary) == (0, 0)
