"""Whole runs on a base in four bits, from an adapter trained before, and with moments in eight bits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from palate.engine import load_trained
from palate.playground import model_folder, write_pairs
from palate.recipe import Recipe, parse_recipe
from tiny_run import losses, run, tiny_recipe

LN_2 = math.log(2)


def playground_recipe(folder: Path, *overrides: str) -> Recipe:
    text = f"""
output: {folder / "run"}
model: {{base: {model_folder()}, quantization: {{}}, adapter: {{rank: 8, alpha: 16}}}}
data: {{train: {{source: {write_pairs()}, limit: 300}}, eval_fraction: 0.1}}
train: {{batch_size: 8, max_steps: 16, learning_rate: 2.0e-3, warmup_fraction: 0}}
compare: null
"""
    return parse_recipe(text, overrides)


def test_dpo_over_four_bits(tmp_path: Path) -> None:
    """It starts at ln 2, and then prefers what the pairs prefer, on held-out prompts too."""
    recipe = playground_recipe(tmp_path)
    summary, lines = run(recipe)
    curve = losses(lines)
    assert curve[0] == pytest.approx(LN_2, abs=1e-6)
    assert sum(curve[-4:]) / 4 < curve[0] - 0.03
    accuracies = [line["rewards_accuracy"] for line in lines if line["split"] == "train"]
    assert accuracies[0] == 0.5
    assert min(accuracies[-4:]) > 0.9
    assert summary["layout"] == "tree"
    assert summary["tree_check_max_abs_difference"] < 1e-3
    assert summary["eval"]["reward_accuracy"] > 0.9
    # As a comparison asks it: the adapter over the base as the recipe holds it.
    asked = load_trained(str(tmp_path / "run" / "adapter"), recipe.model)
    assert asked.quantization == "nf4+double"


def cached(summary: dict[str, Any]) -> tuple[int, int]:
    return summary["num_reference_completions_computed"], summary["num_reference_completions_cached"]


def test_each_way_to_hold_a_base_has_its_own_reference(tmp_path: Path, base: Path) -> None:
    """Another rank recomputes nothing; four bits recompute all, and so do four bits held otherwise."""
    count = 0
    for name, overrides in {
        "whole": [],
        "nf4": ["model.quantization={}"],
        "fp4": ["model.quantization.type=fp4"],
        "plain": ["model.quantization.double=false"],
    }.items():
        summary, lines = run(tiny_recipe(tmp_path, base, *overrides, name=name))
        assert losses(lines)[0] == pytest.approx(LN_2, abs=1e-6)
        computed, found = cached(summary)
        assert found == 0, name
        assert count in (0, computed)
        count = computed
    again, _ = run(tiny_recipe(tmp_path, base, "model.quantization={}", "model.adapter.rank=2", name="again"))
    assert cached(again) == (0, count)


def test_training_goes_on_from_a_run(tmp_path: Path, base: Path) -> None:
    """Its reference is the adapter as it starts: ln 2 again at first, and its own cache."""
    first, _ = run(tiny_recipe(tmp_path, base, name="first"))
    start = [f"model.adapter={{type: existing, path: {tmp_path / 'first'}}}"]
    second, lines = run(tiny_recipe(tmp_path, base, *start, name="second"))
    assert losses(lines)[0] == pytest.approx(LN_2, abs=1e-6)
    assert losses(lines)[-1] < LN_2
    assert cached(second) == (cached(first)[0], 0)
    # The same start again needs nothing computed, whatever else changes.
    third, _ = run(tiny_recipe(tmp_path, base, *start, "train.learning_rate=1e-4", name="third"))
    assert cached(third) == (0, cached(first)[0])
    # And what is published works over the plain base.
    asked = load_trained(str(tmp_path / "second" / "adapter"), tiny_recipe(tmp_path, base).model)
    assert asked.has_adapter


def test_eight_bit_moments_train(tmp_path: Path, base: Path) -> None:
    """Every weight: the embeddings of this small model are its one matrix large enough for eight bits."""
    curves = {}
    for optimizer in ("adamw", "adamw_8bit"):
        recipe = tiny_recipe(
            tmp_path, base, "model.adapter=null", f"train.optimizer={optimizer}", name=optimizer
        )
        curves[optimizer] = losses(run(recipe)[1])
    assert curves["adamw_8bit"][-1] < curves["adamw_8bit"][0] == pytest.approx(LN_2, abs=1e-6)
    assert curves["adamw_8bit"] == pytest.approx(curves["adamw"], rel=0.05)
    assert curves["adamw_8bit"] != curves["adamw"]
