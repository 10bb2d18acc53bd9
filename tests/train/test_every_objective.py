"""Every objective there is, through the whole of training: it learns what its data say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from palate.recipe import OBJECTIVES, Recipe
from tiny_run import losses, metrics, rows, run, tiny_recipe, write_rows

# A loss that pulls towards a target or goes against a moving one need not fall at every step; all of them
# have to tell the two sides apart better than before.
STEPS = (
    "train.max_steps=20",
    "train.epochs=20",
    "train.learning_rate=1e-2",
    "data.eval_fraction=0",
    "train.batch_size=18",
)


def recipe_of(folder: Path, base: Path, *overrides: str, name: str = "run") -> Recipe:
    write_rows(folder / "rows.jsonl", rows(9, completions_per_prompt=2))
    return tiny_recipe(folder, base, *STEPS, "compare=null", *overrides, name=name)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_it_learns(tmp_path: Path, base: Path, name: str) -> None:
    summary, lines = run(recipe_of(tmp_path, base, f"objective={{type: {name}}}"))
    found = losses(lines)
    assert len(found) == summary["num_steps"] == 20
    assert np.isfinite(found).all()
    if name in ("sft", "discopop"):
        # sft never looks at the other side; discopop, not convex, falls at 0 towards a small negative
        # margin (Lu et al. 2024, arXiv:2406.08414, section 6): what both promise is a smaller loss.
        assert found[-1] < found[0]
        return
    first, last = (np.mean([line["rewards_margin"] for line in part]) for part in (lines[:3], lines[-3:]))
    assert last > first
    accuracy = [line["rewards_accuracy"] for line in lines[-3:]]
    assert np.mean(accuracy) > 0.8


@pytest.mark.parametrize("weighting", ["none", "wpo"])
def test_weighting_by_the_policys_own_likelihood_changes_the_loss(
    tmp_path: Path, base: Path, weighting: str
) -> None:
    found = losses(run(recipe_of(tmp_path, base, f"objective={{type: dpo, weighting: {weighting}}}"))[1])
    assert (found[0] == pytest.approx(np.log(2))) == (weighting == "none")


def test_margins_and_weights_of_the_data_are_honoured(tmp_path: Path, base: Path) -> None:
    """At step 1 the reward margin is 0: the loss is the weighted mean of log(1 + e^margin)."""
    plain = rows(6)
    told = [{**row, "how_much": i / 2, "how_sure": 1 + i} for i, row in enumerate(plain)]
    data = write_rows(tmp_path / "told.jsonl", told)
    columns = f"data.train={{source: {data}, margin_column: how_much, weight_column: how_sure}}"
    recipe = recipe_of(tmp_path, base, columns, "train.max_steps=1")
    expected = np.mean([(1 + i) * np.log1p(np.exp(i / 2)) for i in range(6)])
    assert losses(run(recipe)[1]) == pytest.approx([expected], rel=1e-6)


def test_all_pairs_of_a_ranking_share_one_tree(tmp_path: Path, base: Path) -> None:
    """Ten pairs of five completions: each completion goes through the model once."""
    answers = [f"{word} " * (i + 1) for i, word in enumerate(("river", "stone", "bread", "window", "letter"))]
    data = write_rows(tmp_path / "ranked.jsonl", [{"prompt": "Say it", "completions": answers}])
    steps = ("train.max_steps=1", "train.batch_size=10", "data.eval_fraction=0", "compare=null")
    wide = "train.micro_batch_tokens=4000"
    found = {}
    for name in ("dpo", "plackett_luce"):
        recipe = tiny_recipe(
            tmp_path, base, *steps, wide, f"objective={{type: {name}}}", data=data, name=name
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("palate.train.memory._DENSE_ATTENTION_SLOWDOWN", 1e-3)
            summary, lines = run(recipe)
        found[name] = summary["num_pairs_train"], lines[0]["tokens_computed"], lines[0]["tokens_represented"]
    assert (found["dpo"][0], found["plackett_luce"][0]) == (10, 1)
    assert found["dpo"][1] == found["plackett_luce"][1], "the same tree"
    assert found["dpo"][2] == 4 * found["plackett_luce"][2], "each completion stands in four pairs"
    account = metrics(tmp_path / "dpo")
    assert account[0]["loss"] == pytest.approx(np.log(2))


@pytest.mark.parametrize("kind", ["kto", "bco"])
def test_labels_need_no_pairs(tmp_path: Path, base: Path, kind: str) -> None:
    lines = []
    for row in rows(8):
        lines.append({"prompt": row["prompt"], "completion": row["chosen"], "label": True})
        if len(lines) % 3:
            lines.append({"prompt": row["prompt"], "completion": row["rejected"], "label": False})
    data = write_rows(tmp_path / "labels.jsonl", lines)
    recipe = tiny_recipe(
        tmp_path,
        base,
        *STEPS,
        f"objective={{type: {kind}}}",
        "compare=null",
        "data.eval_fraction=0.3",
        data=data,
    )
    summary, found = run(recipe)
    training = [line for line in found if line["split"] == "train"]
    assert training[-1]["rewards_margin"] > training[0]["rewards_margin"]
    assert training[-1]["rewards_accuracy"] > 0.8
    assert summary["num_pairs_train"] + summary["num_pairs_eval"] == len(lines) and summary["num_pairs_eval"]
    assert summary["eval"]["loss"] > 0
