"""Reading a run folder: what is absent is None, what is damaged is named, nothing is guessed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import synthetic_run as synthetic

from palate.errors import ArtifactError
from palate.evaluate.diagnosis.curves import read_metrics, series
from palate.report.folder import read_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return synthetic.write_run(tmp_path / "harbour", num_steps=5)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is no such run folder"):
        read_run(tmp_path / "nowhere")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a run")
    with pytest.raises(ArtifactError, match="this is not a run folder"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "piece", ["environment.json", "lineage.json", "data.json", "summary.json", "evaluation/comparison.json"]
)
@pytest.mark.parametrize("content", [b"", b'{"a": ', b"[1, 2]", b"\xff\xfe{}"])
def test_a_damaged_file_is_named(run: Path, piece: str, content: bytes) -> None:
    (run / piece).write_bytes(content)
    with pytest.raises(ArtifactError, match="damaged") as error:
        read_run(run)
    assert error.value.where == str(run / piece)
    assert error.value.why and error.value.next


def test_a_damaged_recipe_is_named(run: Path) -> None:
    (run / "recipe.yaml").write_text("output: [1\n")
    with pytest.raises(ArtifactError, match="damaged") as error:
        read_run(run)
    assert error.value.where == str(run / "recipe.yaml")


def test_a_value_of_the_wrong_kind_is_named_by_its_key(run: Path) -> None:
    content = synthetic.comparison()
    content["samples"][2]["tuned"][0]["text"] = None
    synthetic.write_json(run / "evaluation" / "comparison.json", content)
    with pytest.raises(ArtifactError, match=r"samples\.2\.tuned\.0\.text"):
        read_run(run)


def test_keys_of_a_later_version_are_no_error(run: Path) -> None:
    synthetic.write_json(run / "summary.json", synthetic.summary(5) | {"something_new": {"a": 1}})
    assert read_run(run).summary is not None


def test_a_figure_that_is_no_number_is_absent(run: Path) -> None:
    synthetic.write_json(run / "summary.json", synthetic.summary(5) | {"pairs_per_second": math.nan})
    summary = read_run(run).summary
    assert summary is not None and summary.pairs_per_second is None


def test_the_objective_is_read_from_the_recipe(run: Path) -> None:
    assert read_run(run).objective == "dpo"
    (run / "recipe.yaml").write_text("- not\n- a mapping\n")
    assert read_run(run).objective is None


def test_a_damaged_line_of_metrics_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "split": "train"}\n{"step": 2, "spl\n{"step": 3, "split": "train"}\n')
    with pytest.raises(ArtifactError) as error:
        read_metrics(path)
    assert error.value.where == f"{path}:2"


@pytest.mark.parametrize(
    "line",
    ["[]", '{"step": "x", "split": "train"}', '{"step": 1}', '{"step": 1, "split": "train", "loss": []}'],
)
def test_a_line_that_is_no_step_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(ArtifactError) as error:
        read_metrics(path)
    assert error.value.where == f"{path}:1"


def test_an_unfinished_last_line_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "split": "train", "loss": 0.5}\n{"step": 2, "spl')
    metrics = read_metrics(path)
    assert metrics is not None and metrics.last_line_cut
    assert [row.step for row in metrics.train] == [1]


def test_of_steps_done_twice_the_last_counts(tmp_path: Path) -> None:
    """A run that was resumed from step 1 has done step 2 twice."""
    path = tmp_path / "metrics.jsonl"
    rows = [(1, 0.7), (2, 0.6), (2, 0.4), (3, 0.3)]
    path.write_text("".join(f'{{"step": {step}, "split": "train", "loss": {loss}}}\n' for step, loss in rows))
    metrics = read_metrics(path)
    assert metrics is not None
    assert series(metrics.train, "loss").values == (0.7, 0.4, 0.3)


def test_null_nan_and_infinity_are_gaps_and_absence_is_none(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    values = ["null", "NaN", "Infinity", "0.25"]
    lines = [f'{{"step": {step}, "split": "train", "loss": {value}}}' for step, value in enumerate(values)]
    path.write_text("\n".join([*lines, '{"step": 9, "split": "train", "kl": 1}\n']))
    metrics = read_metrics(path)
    assert metrics is not None
    loss = series(metrics.train, "loss")
    assert loss.steps == (0, 1, 2, 3)
    assert loss.gaps == (0, 1, 2)
    assert loss and not series(metrics.train, "absent")


@pytest.mark.parametrize("piece", ["recipe.yaml", "data.json", "findings.json", "evaluation/held_out.json"])
@pytest.mark.parametrize("content", ["[" * 100_000, '{"num_steps": 1', "null", '{"a": "\\ud800"}'])
def test_no_damage_is_more_than_an_error(tmp_path: Path, piece: str, content: str) -> None:
    run = synthetic.write_run(tmp_path / "run", num_steps=2)
    (run / piece).write_text(content)
    try:
        read_run(run)
    except ArtifactError as error:
        assert error.where == str(run / piece)


@pytest.mark.parametrize("digits", ["9" * 30, "9" * 400, "9" * 5000])
def test_a_number_as_long_as_a_file_is_damage_or_a_large_number(tmp_path: Path, digits: str) -> None:
    """Python refuses to read 5,000 digits, and no float holds 400 of them: neither is a traceback."""
    run = synthetic.write_run(tmp_path / "run", num_steps=2)
    (run / "summary.json").write_text(f'{{"num_steps": {digits}}}')
    with pytest.raises(ArtifactError, match="num_steps"):
        read_run(run)
    (run / "summary.json").write_text(f'{{"sharing_factor": {digits}}}')
    summary = read_run(run).summary
    assert summary is not None
    assert summary.sharing_factor == (pytest.approx(1e30) if len(digits) == 30 else None)
