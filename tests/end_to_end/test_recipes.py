"""Both recipes that come with Palate, from the real data to a whole run folder, with no network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palate.pipeline import run_recipe
from palate.recipe import load_recipe

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
SOURCES = {
    "youtube-titles.yaml": DATA / "youtube_titles" / "preferences.csv",
    "debate-stance.yaml": DATA / "debate" / "labelled_data.json",
}
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))

SUMMARY = {
    "status", "num_pairs_train", "num_pairs_eval", "num_rows_set_aside", "num_steps",
    "num_reference_completions_computed", "num_reference_completions_cached", "sharing_factor",
    "pairs_per_second", "peak_memory_bytes", "tree_check_max_abs_difference", "best_step", "eval",
}  # fmt: skip
METRICS = {
    "step", "split", "loss", "rewards_chosen", "rewards_rejected", "rewards_margin", "rewards_accuracy",
    "logps_chosen", "logps_rejected", "logps_chosen_per_token", "logps_rejected_per_token",
}  # fmt: skip
TRAIN_METRICS = METRICS | {"grad_norm", "learning_rate", "pairs_per_second"}
FILES = {
    "adapter/adapter_config.json", "adapter/adapter_model.safetensors", "data.json", "environment.json",
    "evaluation/comparison.json", "evaluation/held_out.json", "lineage.json", "metrics.jsonl",
    "recipe.yaml", "report.html", "summary.json",
}  # fmt: skip


def test_these_are_the_recipes() -> None:
    assert [path.name for path in RECIPES] == sorted(SOURCES)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_loads_and_reads_back_the_same(path: Path, tmp_path: Path) -> None:
    from palate.recipe import write_recipe

    recipe = load_recipe(path)
    write_recipe(recipe, tmp_path / "resolved.yaml")
    assert load_recipe(tmp_path / "resolved.yaml") == recipe


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_it_runs_offline_and_leaves_a_whole_folder(name: str, tmp_path: Path) -> None:
    source = SOURCES[name]
    if not source.is_file():
        pytest.skip(
            f"the data of this recipe is not here: {source.name} (no copy of it is kept in the project)"
        )
    run = tmp_path / "run"
    recipe = load_recipe(
        ROOT / "recipes" / name,
        [
            f"output={run}",
            f"data.train.source={source}",
            "model.base=playground",
            "train.max_steps=2",
            "compare.num_prompts=2",
            "compare.max_new_tokens=8",
        ],
    )
    summary = run_recipe(recipe)
    assert set(summary) >= SUMMARY
    assert summary == json.loads((run / "summary.json").read_text())
    assert (summary["status"], summary["num_steps"]) == ("done", 2)
    assert set(summary["eval"]) == {"loss", "reward_accuracy", "reward_margin"}
    assert summary["num_pairs_train"] > 8 * summary["num_pairs_eval"] > 0
    there = {str(file.relative_to(run)) for file in run.rglob("*") if file.is_file()}
    assert there >= FILES
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["split"]) for line in lines] == [(1, "train"), (2, "train"), (2, "eval")]
    for line in lines:
        assert set(line) >= (TRAIN_METRICS if line["split"] == "train" else METRICS)
    comparison = json.loads((run / "evaluation" / "comparison.json").read_text())
    assert len(comparison["samples"]) == 2


def test_what_makes_the_homework_the_homework() -> None:
    """The options the debate recipe is known by."""
    recipe = load_recipe(ROOT / "recipes" / "debate-stance.yaml")
    adapter = recipe.model.adapter
    assert adapter is not None
    assert (adapter.rank, adapter.alpha, adapter.dropout) == (64, 16, 0.1)
    assert (recipe.objective.type, recipe.objective.reward_scale) == ("dpo", 0.1)
    assert recipe.train.learning_rate == 2e-4
    assert (recipe.data.train.support_ratio, recipe.data.train.limit) == (0.1, 50)
    assert recipe.data.system is not None
