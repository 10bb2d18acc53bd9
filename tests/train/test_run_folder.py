"""One run, one folder: taken up by its own recipe, refused to every other."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
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
    assert not folder.is_done(), "its result is not there"
    folder.adapter.mkdir()
    assert folder.is_done()


@pytest.mark.parametrize(
    ("override", "section"),
    [
        ("train.learning_rate=1", "train.learning_rate"),
        ("seed=1", "seed"),
        ("objective.type=hinge", "objective.type"),
        ("objective.beta=0.2", "objective.beta"),
        ("data.max_length=7", "data.max_length"),
        ("model.adapter.rank=2", "model.adapter.rank"),
    ],
)
def test_another_recipe_is_refused(tmp_path: Path, override: str, section: str) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin(recipe(folder.path))
    folder.log({"step": 1})
    before = folder.recipe_file.read_text()
    with pytest.raises(RecipeError, match="another run lives in this folder") as caught:
        folder.begin(recipe(folder.path, override))
    assert caught.value.why.startswith("its recipe differs in: ") and section in caught.value.why
    assert folder.recipe_file.read_text() == before


@pytest.mark.parametrize(
    "override", ["train.keep_checkpoints=5", "train.checkpoint_every=7", "compare=null", "parallel=ddp"]
)
def test_what_leaves_the_result_alone_may_change(tmp_path: Path, override: str) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin(recipe(folder.path))
    folder.log({"step": 1})
    folder.begin(recipe(folder.path, override))


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


def in_another_process(act: Callable[[], object]) -> int:
    """Begin it there and leave it there, held; the process's number."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            act()
            os.write(writing, b"held")
            signal.pause()
        finally:
            os._exit(3)
    os.close(writing)
    assert os.read(reading, 4) == b"held"
    os.close(reading)
    return child


def end(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def test_two_processes_never_train_in_one_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    held = folder.lock()
    holder = in_another_process(held.__enter__)
    try:
        with pytest.raises(RecipeError, match="another process is training") as caught, folder.lock():
            pass
        assert caught.value.where == f"output = {folder.path}"
        assert caught.value.why.startswith(f"process {holder} on ")
    finally:
        end(holder)
    with folder.lock():
        folder.begin(recipe(folder.path))


def test_one_process_does_not_train_in_one_folder_twice(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.lock():
        with pytest.raises(RecipeError, match="another process") as caught, RunFolder(tmp_path).lock():
            pass
        assert f"process {os.getpid()} on" in caught.value.why
    with folder.lock():  # it was let go of
        pass


def test_a_run_that_failed_lets_go(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(ZeroDivisionError), folder.lock():
        _ = 1 / 0
    with folder.lock():
        pass


def test_locking_and_beginning_go_in_either_order(tmp_path: Path) -> None:
    for name, first in (("a", "lock"), ("b", "begin")):
        folder = RunFolder(tmp_path / name)
        if first == "begin":
            folder.begin(recipe(folder.path))
        with folder.lock():
            folder.begin(recipe(folder.path))
        assert sorted(file.name for file in folder.path.iterdir()) == [".lock", "recipe.yaml"]


def test_a_folder_of_something_else_is_not_even_locked(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RecipeError, match="not a run folder"), RunFolder(tmp_path).lock():
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_locking_clears_away_what_a_killed_process_left(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(recipe(tmp_path))
    dead = in_another_process(lambda: None)
    end(dead)
    (tmp_path / f".summary.json.tmp-{dead}-0").write_text('{"status": ')
    with folder.lock():
        assert sorted(file.name for file in tmp_path.iterdir()) == [".lock", ".lock-holder", "recipe.yaml"]


def test_a_folder_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(recipe(tmp_path))
    (tmp_path / ".lock").mkdir()
    with pytest.raises(ArtifactError, match="cannot be locked"), folder.lock():
        pass


def logged(folder: RunFolder) -> list[tuple[str, int]]:
    lines = folder.metrics_file.read_text().splitlines()
    return [(line["split"], line["step"]) for line in map(json.loads, lines)]


@pytest.fixture
def metrics_of_four(tmp_path: Path) -> RunFolder:
    """Four steps, evaluated after every second."""
    folder = RunFolder(tmp_path)
    for step in (1, 2, 3, 4):
        folder.log({"step": step, "split": "train"})
        if step % 2 == 0:
            folder.log({"step": step, "split": "eval"})
    return folder


@pytest.mark.parametrize(
    ("step", "last_evaluated", "left"),
    [
        (0, 0, []),
        (2, 0, [("train", 1), ("train", 2)]),
        (2, 2, [("train", 1), ("train", 2), ("eval", 2)]),
        (3, 2, [("train", 1), ("train", 2), ("eval", 2), ("train", 3)]),
        (4, 4, [("train", 1), ("train", 2), ("eval", 2), ("train", 3), ("train", 4), ("eval", 4)]),
    ],
)
def test_what_will_be_written_again_is_dropped(
    metrics_of_four: RunFolder, step: int, last_evaluated: int, left: list[tuple[str, int]]
) -> None:
    metrics_of_four.truncate_metrics(step, last_evaluated)
    assert logged(metrics_of_four) == left


@pytest.mark.parametrize("torn", ['{"step": 3, "spl', '{"step": 3, "spl\n', "\0\0\0\0", "\0\0\n", "[1]\n"])
def test_a_torn_last_line_is_dropped(metrics_of_four: RunFolder, torn: str) -> None:
    whole = metrics_of_four.metrics_file.read_bytes()
    with metrics_of_four.metrics_file.open("a") as file:
        file.write(torn)
    metrics_of_four.truncate_metrics(9, 9)
    assert metrics_of_four.metrics_file.read_bytes() == whole


def test_a_line_without_its_end_is_written_again(metrics_of_four: RunFolder) -> None:
    """It may be a number cut short: `{"step": 1` of step 12 would be no JSON, but `12` of `123` is."""
    content = metrics_of_four.metrics_file.read_bytes()
    metrics_of_four.metrics_file.write_bytes(content[:-1])
    metrics_of_four.truncate_metrics(9, 9)
    assert logged(metrics_of_four)[-1] == ("train", 4)


def test_nothing_to_drop_is_nothing_written(metrics_of_four: RunFolder) -> None:
    before = metrics_of_four.metrics_file.stat()
    metrics_of_four.truncate_metrics(4, 4)
    assert metrics_of_four.metrics_file.stat() == before
    RunFolder(metrics_of_four.path / "empty").truncate_metrics(4, 4)


def test_a_line_damaged_in_the_middle_is_named(metrics_of_four: RunFolder) -> None:
    lines = metrics_of_four.metrics_file.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"{", b"[", 1)
    metrics_of_four.metrics_file.write_bytes(b"".join(lines))
    with pytest.raises(ArtifactError, match="line 3 cannot be read") as caught:
        metrics_of_four.truncate_metrics(2, 2)
    assert caught.value.where == str(metrics_of_four.metrics_file)
    assert metrics_of_four.metrics_file.read_bytes() == b"".join(lines)
