"""The stages of a run: each done once, each from what the run folder holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from palate.engine import Renderer
from palate.errors import ArtifactError, DataError, JudgeError, ModelError, RecipeError
from palate.pipeline import compare_command, run_recipe, train_stage
from palate.recipe import Recipe
from palate.statistics.win_rates import Outcome, win_rate
from palate.train import RunFolder
from palate.watcher import Watcher
from tiny_run import tiny_recipe, write_rows

TASTES = """
def even(prompt, answer):
    return len(answer) % 2

def broken(prompt, answer):
    raise RuntimeError("the judge is out")

def constant(prompt, answer):
    return 1.0
"""


class Notes(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.tasks: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def begin(self, task: str, total: int) -> None:
        self.tasks.append(task)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Recipe:
    """Two steps, with an adapter, not yet compared."""
    recipe = tiny_recipe(tmp_path_factory.mktemp("trained"), base, "train.max_steps=2")
    train_stage(recipe)
    return recipe


@pytest.fixture
def tastes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tastes.py").write_text(TASTES)
    monkeypatch.syspath_prepend(str(tmp_path))


def prompts_file(folder: Path, *prompts: str) -> str:
    return str(
        write_rows(folder / "prompts.jsonl", [{"prompt": p} for p in prompts or ("Say river", "Say stone")])
    )


def compare(trained: Recipe, **changes: Any) -> dict[str, Any]:
    return compare_command([trained.output], changes)


def test_a_run_does_everything_once(tmp_path: Path, base: Path) -> None:
    recipe = tiny_recipe(tmp_path, base, "compare.judge=longer")
    first, again, mended = Notes(), Notes(), Notes()
    summary = run_recipe(recipe, first)
    assert first.tasks.pop(0).startswith("auditing ")
    assert first.tasks == [
        "reference log-probabilities", "training", f"answers of {base}", "answers of tuned",
        "scoring with longer", f"{base} reads tuned", "tuned reads itself",
    ]  # fmt: skip
    folder = RunFolder(recipe.output)
    made = sorted(file.name for file in folder.path.iterdir() if not file.name.startswith("."))
    assert made == [
        "adapter", "audit.json", "checkpoints", "data.json", "environment.json", "evaluation",
        "findings.json", "lineage.json", "metrics.jsonl", "recipe.yaml", "report.html", "summary.json",
    ]  # fmt: skip
    times = {
        f: f.stat().st_mtime_ns for f in folder.path.rglob("*") if f.is_file() and f.name != "recipe.yaml"
    }
    assert run_recipe(recipe, again) == summary
    assert again.tasks == []
    assert [note.partition(str(folder.path))[2] for note in again.notes] == [
        " is trained already",
        " is compared already",
    ]
    assert times == {f: f.stat().st_mtime_ns for f in times}
    (folder.path / "report.html").unlink()
    run_recipe(recipe, mended)
    assert mended.tasks == [] and len(mended.notes) == 3
    assert (folder.path / "report.html").is_file()


def test_another_comparison_is_made_when_the_recipe_asks_for_one(tmp_path: Path, base: Path) -> None:
    """Another judge: answers are found again, and no model is read anew for its drift."""
    recipe = tiny_recipe(tmp_path, base)
    run_recipe(recipe)
    notes = Notes()
    run_recipe(tiny_recipe(tmp_path, base, "compare.judge=shorter"), notes)
    assert notes.tasks == [f"answers of {base}", "answers of tuned", "scoring with shorter"]
    comparison = RunFolder(recipe.output).read("evaluation/comparison.json")
    assert comparison["judge"] == "shorter"
    assert "shorter" in (Path(recipe.output) / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("override", "error"),
    [("compare.judge=longr", JudgeError), ("compare.prompts=nowhere.jsonl", DataError)],
)
def test_a_comparison_that_cannot_be_is_found_before_training(
    tmp_path: Path, base: Path, override: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        run_recipe(tiny_recipe(tmp_path, base, override))
    assert not (tmp_path / "run").exists()


def test_nothing_held_out_is_nothing_to_compare(tmp_path: Path, base: Path) -> None:
    recipe = tiny_recipe(tmp_path, base, "data.eval_fraction=0")
    notes = Notes()
    assert run_recipe(recipe, notes)["status"] == "done"
    assert any("not compared" in note for note in notes.notes)
    assert (tmp_path / "run" / "report.html").is_file()
    with pytest.raises(DataError, match="no prompts to compare on"):
        compare_command([recipe.output], {})


def test_compare_needs_only_the_run_folder(tmp_path: Path, base: Path) -> None:
    """The data may have moved, or changed so that other prompts would be held out."""
    recipe = tiny_recipe(tmp_path, base)
    train_stage(recipe)
    held_out = RunFolder(recipe.output).read("evaluation/prompts.json")["prompts"]
    (tmp_path / "rows.jsonl").unlink()
    comparison = compare(recipe)
    assert [sample["prompt"] for sample in comparison["samples"]] == held_out[:2]


def test_without_a_judge_nobody_wins(trained: Recipe) -> None:
    comparison = compare(trained)
    assert comparison["judge"] is None and comparison["win_rate"] is None
    assert {sample["verdict"] for sample in comparison["samples"]} == {None}
    assert comparison["base"] == trained.model.base
    assert (comparison["num_prompts"], len(comparison["samples"])) == (2, 2)


@pytest.mark.usefixtures("tastes")
@pytest.mark.parametrize("judge", ["shorter", "tastes:even"])
def test_a_judge_is_counted(trained: Recipe, judge: str) -> None:
    comparison = compare(trained, judge=judge, temperature=1.0, samples_per_prompt=4)
    counted = comparison["win_rate"]
    assert counted["num_wins"] + counted["num_losses"] + counted["num_ties"] == 8
    assert counted["num_missing"] == 0
    # Four answers to one prompt are one witness: the interval is that of two prompts, not of eight.
    outcomes: list[Outcome] = []
    for sample in comparison["samples"]:
        for a, b in zip(sample["base"], sample["tuned"], strict=True):
            higher, lower = b["score"] > a["score"], b["score"] < a["score"]
            outcomes.append("win" if higher else "loss" if lower else "tie")
    assert counted == asdict(win_rate(outcomes, ["first"] * 4 + ["second"] * 4))
    scores = [answer["score"] for sample in comparison["samples"] for answer in sample["tuned"]]
    assert len(scores) == 8
    assert comparison["figures"]["tuned"]["mean_score"] == pytest.approx(sum(scores) / 8)


@pytest.mark.usefixtures("tastes")
def test_a_failing_judge_is_never_a_score(trained: Recipe) -> None:
    comparison = compare(trained, judge="tastes:broken")
    counted = comparison["win_rate"]
    assert (counted["num_wins"], counted["num_losses"], counted["num_ties"], counted["num_missing"]) == (
        0,
        0,
        0,
        2,
    )
    assert comparison["figures"]["base"]["mean_score"] is None
    assert {sample["verdict"] for sample in comparison["samples"]} == {None}


@pytest.mark.usefixtures("tastes")
def test_equal_scores_tie(trained: Recipe) -> None:
    counted = compare(trained, judge="tastes:constant")["win_rate"]
    assert (counted["num_ties"], counted["win_rate"]) == (2, 0.5)


def test_held_out_accuracy_is_clustered_by_prompt(trained: Recipe) -> None:
    """Ten pairs of one prompt are one witness, not ten: the interval is wide."""
    from palate.evaluate import held_out_accuracy

    def pairs(num_prompts: int, each: int) -> list[dict[str, Any]]:
        return [
            {"prompt": str(p), "reward_margin": 1.0 if p % 2 else -1.0}
            for p in range(num_prompts)
            for _ in range(each)
        ]

    def width(found: dict[str, Any] | None) -> float:
        assert found is not None
        low, high = found["interval_95"]
        return float(high - low)

    few, many = held_out_accuracy(pairs(4, 10)), held_out_accuracy(pairs(40, 1))
    assert few is not None and many is not None
    assert few["reward_accuracy"] == many["reward_accuracy"] == 0.5
    assert (few["num_pairs"], few["num_prompts"]) == (40, 4)
    assert width(few) > 2 * width(many)
    assert held_out_accuracy([]) is None
    assert held_out_accuracy([{"prompt": "a", "reward_margin": 0.0}])["reward_accuracy"] == 0.5  # type: ignore[index]
    found = compare(trained)["held_out"]
    assert found["num_pairs"] == found["num_prompts"] == 3


def test_two_models_by_any_of_their_names(
    tmp_path: Path, base: Path, trained: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model folder, a run folder, an adapter's folder; a base against itself says the same."""
    monkeypatch.chdir(tmp_path)
    options = {"prompts": prompts_file(tmp_path), "max_new_tokens": 4, "judge": "longer"}
    adapter = str(Path(trained.output) / "adapter")
    same = compare_command([str(base), str(base)], options, tmp_path / "out")
    assert same["win_rate"]["num_ties"] == 2
    runs = compare_command([trained.output, adapter], options, tmp_path / "out")
    assert (runs["base"], runs["tuned"]) == (trained.output, adapter)
    assert [sample["base"] for sample in runs["samples"]] == [sample["tuned"] for sample in runs["samples"]]
    written = json.loads((tmp_path / "out" / "evaluation" / "comparison.json").read_text())
    assert written == json.loads(json.dumps(runs))


def test_a_run_is_asked_in_its_own_template(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(tmp_path, base, "data.template=plain", "train.max_steps=1")
    train_stage(recipe)
    asked: list[str] = []

    def recorded(tokenizer: Any, template: str, stop_ids: Any) -> Renderer:
        asked.append(template)
        return Renderer(tokenizer, template, stop_ids)

    monkeypatch.setattr("palate.generate.local.Renderer", recorded)
    options = {"prompts": prompts_file(tmp_path), "max_new_tokens": 2}
    compare_command([recipe.output, str(base)], options, tmp_path / "out")
    assert asked == ["plain", "tokenizer"]


def test_a_fully_tuned_model_is_compared_too(tmp_path: Path, base: Path) -> None:
    recipe = tiny_recipe(tmp_path, base, "model.adapter=null", "train.max_steps=1")
    run_recipe(recipe)
    assert RunFolder(recipe.output).read("evaluation/comparison.json")["num_prompts"] == 2


@pytest.mark.parametrize("name", ["prompts.txt", "prompts.csv", "preferences.csv"])
def test_prompts_of_other_layouts(tmp_path: Path, trained: Recipe, name: str) -> None:
    text = {
        "prompts.txt": "Say river\nSay stone\n",
        "prompts.csv": "question\nSay river\nSay stone\n",
        "preferences.csv": "prompt,chosen,rejected\nSay river,a,b\nSay stone,c,d\nSay stone,e,f\n",
    }[name]
    (tmp_path / name).write_text(text)
    comparison = compare(trained, prompts=str(tmp_path / name), num_prompts=9)
    assert [sample["prompt"][-1]["content"] for sample in comparison["samples"]] == ["Say river", "Say stone"]


def test_calls_that_are_wrong(tmp_path: Path, base: Path, trained: Recipe) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    unusable = write_rows(tmp_path / "unusable.jsonl", [{"prompt": ""}])
    with pytest.raises(DataError, match="no prompts"):
        compare(trained, prompts=str(empty))
    with pytest.raises(DataError, match="no prompts to compare on"):
        compare(trained, prompts=str(unusable))
    with pytest.raises(RecipeError, match="nothing to ask"):
        compare_command([str(base), str(base)], {})
    with pytest.raises(RecipeError, match="not a run folder"):
        compare_command([str(base)], {})
    with pytest.raises(RecipeError, match="--output has no effect"):
        compare_command([trained.output], {}, tmp_path)
    with pytest.raises(RecipeError) as caught:
        compare(trained, num_prompts=0)
    assert caught.value.where == "--num-prompts"
    with pytest.raises(ModelError, match="no such model folder"):
        compare_command([str(base), str(tmp_path / "nowhere")], {"prompts": prompts_file(tmp_path)}, tmp_path)


def test_a_run_that_never_finished_has_no_model_to_compare(tmp_path: Path, base: Path) -> None:
    recipe = tiny_recipe(tmp_path, base)
    RunFolder(recipe.output).begin(recipe)
    with pytest.raises(ArtifactError, match="no trained model"):
        compare_command([recipe.output], {})


def test_data_that_changed_since_are_noticed(tmp_path: Path, base: Path) -> None:
    recipe = tiny_recipe(tmp_path, base, "train.max_steps=1", "compare=null")
    train_stage(recipe)
    same, changed = Notes(), Notes()
    train_stage(recipe, same)
    with Path(recipe.data.train.source).open("a") as file:
        file.write("\n")
    train_stage(recipe, changed)
    assert not any("has changed" in note for note in same.notes)
    assert any("rows.jsonl has changed since" in note for note in changed.notes)
