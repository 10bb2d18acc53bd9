"""One run, one folder: taken up by its own recipe, refused to every other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palate.errors import ArtifactError, RecipeError
from palate.recipe import Recipe, load_recipe, parse_recipe
from palate.train import RunFolder


def recipe(output: Path, *overrides: str) -> Recipe:
    return parse_recipe(f"output: {output}", overrides)


def test_the_resolved_recipe_is_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "deep" / "run")
    made = recipe(folder.path, "train.epochs=2")
    folder.begin(made)
    assert load_recipe(folder.recipe_file) == made
    assert "learning_rate" in folder.recipe_file.read_text(), "every default is written out"


def test_the_same_recipe_takes_it_up(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin(recipe(folder.path))
    folder.write("summary.json", {"status": "done"})
    folder.begin(recipe(folder.path))
    assert folder.is_done()


@pytest.mark.parametrize(
    ("override", "section"),
    [
        ("train.learning_rate=1", "train"),
        ("seed=1", "seed"),
        ("objective.type=ipo", "objective"),
        ("objective.beta=0.2", "objective"),
        ("data.max_length=7", "data"),
        ("model.adapter.rank=2", "model"),
    ],
)
def test_another_recipe_is_refused(tmp_path: Path, override: str, section: str) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin(recipe(folder.path))
    folder.log({"step": 1})
    before = folder.recipe_file.read_text()
    with pytest.raises(RecipeError, match="another run lives in this folder") as caught:
        folder.begin(recipe(folder.path, override))
    assert caught.value.why == f"its recipe differs in: {section}"
    assert folder.recipe_file.read_text() == before


def test_an_attempt_that_came_to_nothing_leaves_the_folder_free(tmp_path: Path) -> None:
    """A slip in the data's name, mended as the error says, must not be answered with another error."""
    folder = RunFolder(tmp_path / "run")
    folder.begin(recipe(folder.path, "data.train.source=slip.jsonl"))
    folder.begin(recipe(folder.path, "data.train.source=right.jsonl"))
    assert load_recipe(folder.recipe_file).data.train.source == "right.jsonl"


def test_a_recipe_of_the_users_own_does_not_make_a_folder_a_run(tmp_path: Path) -> None:
    own = tmp_path / "recipe.yaml"
    own.write_text(f"# mine\noutput: {tmp_path}\n")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "mine.txt").write_text("dear to me")
    with pytest.raises(RecipeError, match="not a run folder"):
        RunFolder(tmp_path).begin(load_recipe(own))
    assert own.read_text().startswith("# mine")
    assert (tmp_path / "adapter" / "mine.txt").exists()


def test_another_comparison_of_the_same_run_is_not_another_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin(recipe(folder.path))
    folder.begin(recipe(folder.path, "compare.num_prompts=3"))
    assert load_recipe(folder.recipe_file).compare.num_prompts == 3  # type: ignore[union-attr]


def test_a_folder_of_something_else_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RecipeError, match="not a run folder"):
        RunFolder(tmp_path).begin(recipe(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    RunFolder(tmp_path).begin(recipe(tmp_path))
    assert RunFolder(tmp_path).recipe_file.is_file()


@pytest.mark.parametrize("below", ["", "run"])
def test_a_file_in_the_way(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / below
    with pytest.raises((RecipeError, ArtifactError)) as caught:
        RunFolder(path).begin(recipe(path))
    assert str(path) in str(caught.value)


def test_a_file_is_never_seen_half_written(tmp_path: Path) -> None:
    """What fails while it is written leaves what was there."""
    folder = RunFolder(tmp_path)
    folder.write("summary.json", {"status": "done"})
    for bad in ({"loss": float("nan")}, {"what": object()}):
        with pytest.raises((ValueError, TypeError)):
            folder.write("summary.json", bad)
    assert folder.read("summary.json") == {"status": "done"}
    assert [file.name for file in tmp_path.iterdir()] == ["summary.json"]


def test_text_that_no_file_can_hold_is_escaped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write("evaluation/comparison.json", {"text": "half \ud83d, whole 😀"})
    assert folder.read("evaluation/comparison.json") == {"text": "half \ud83d, whole 😀"}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "evaluation").write_text("in the way")
    folder = RunFolder(tmp_path)
    with pytest.raises(ArtifactError, match="cannot be written") as caught:
        folder.write("evaluation/comparison.json", {})
    assert caught.value.where == str(tmp_path / "evaluation" / "comparison.json")
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(ArtifactError, match="cannot be written"):
        folder.log({"step": 1})


def test_what_is_absent_or_damaged_is_said(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(ArtifactError, match="no such file"):
        folder.read("summary.json")
    (tmp_path / "summary.json").write_text('{"status": ')
    with pytest.raises(ArtifactError, match="damaged"):
        folder.is_done()
    with pytest.raises(ArtifactError, match="no trained model"):
        _ = folder.trained


def test_every_line_is_there_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (1, 2):
        folder.log({"step": step})
        lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == list(range(1, step + 1))


def test_clearing_takes_results_and_leaves_the_rest(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(recipe(tmp_path))
    for name in ("adapter/a", "model/b", "checkpoints/step-000001/c", "evaluation/d", "data/pairs.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    for name in ("metrics.jsonl", "summary.json", "report.html", "notes.txt"):
        (tmp_path / name).write_text("")
    folder.clear()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data", "notes.txt", "recipe.yaml"]
