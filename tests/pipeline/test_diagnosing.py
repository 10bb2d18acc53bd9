"""A run is told what its curves say while it trains, and carries it in its folder when it is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palate.errors import TrainingError
from palate.pipeline import diagnose_stage, run_recipe, train_stage
from palate.pipeline.diagnosing import telling_diagnosis
from palate.watcher import Watcher
from tiny_run import metrics, rows, tiny_recipe, write_rows


class Told(Watcher):
    """Keeps every note with the training step at which it came."""

    def __init__(self) -> None:
        self.notes: list[tuple[int, str]] = []
        self.step = 0

    def advance(self, done: int, detail: str = "") -> None:
        self.step = done

    def note(self, text: str) -> None:
        self.notes.append((self.step, text))

    @property
    def diagnosis(self) -> list[tuple[int, str]]:
        return [(step, text) for step, text in self.notes if text.startswith("diagnosis: ")]


def test_a_run_that_does_not_move_is_told_so_before_it_ends(tmp_path: Path, base: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", rows(40))
    recipe = tiny_recipe(
        tmp_path, base, "train.learning_rate=1e-10", "train.max_steps=30", "data.audit=null", data=data
    )
    watcher = Told()
    train_stage(recipe, watcher)
    (first, said), *_ = watcher.diagnosis
    assert first < 15
    assert said.startswith("diagnosis: error adapter_not_moving: After 1")
    assert "Raise train.learning_rate" in said
    content = json.loads((tmp_path / "run" / "findings.json").read_text(encoding="utf-8"))
    assert content["findings"][0]["rule"] == "adapter_not_moving"
    assert content["best_step"] in range(1, 31)


def test_training_is_the_same_with_a_diagnosis_that_breaks(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Advice may fail; a run does not."""
    from palate.evaluate.diagnosis import LiveDiagnosis

    def broken(self: LiveDiagnosis, line: object) -> None:
        raise ZeroDivisionError("in a rule")

    monkeypatch.setattr(LiveDiagnosis, "on_line", broken)
    watcher = Told()
    train_stage(tiny_recipe(tmp_path, base), watcher)
    assert len(metrics(tmp_path / "run", "train")) == 4
    assert [text for _, text in watcher.diagnosis] == ["diagnosis: no more of it in this run: in a rule"]


def test_a_run_carries_findings_that_are_newer_than_its_comparison(tmp_path: Path, base: Path) -> None:
    recipe = tiny_recipe(tmp_path, base)
    run_recipe(recipe)
    folder = tmp_path / "run"
    made = {
        name: (folder / name).stat().st_mtime_ns
        for name in ("evaluation/comparison.json", "findings.json", "report.html")
    }
    assert sorted(made.values()) == list(made.values())
    run_recipe(recipe)
    assert (folder / "findings.json").stat().st_mtime_ns == made["findings.json"]
    (folder / "findings.json").unlink()
    run_recipe(recipe)
    assert (folder / "findings.json").exists()


def test_a_training_that_overflows_leaves_its_curves_explained(tmp_path: Path, base: Path) -> None:
    """At such a rate of all weights the numbers end within a few steps."""
    data = write_rows(tmp_path / "rows.jsonl", rows(60))
    overrides = ("model.adapter=null", "train.learning_rate=1e8", "train.max_steps=30", "data.audit=null")
    with pytest.raises(TrainingError):
        train_stage(tiny_recipe(tmp_path, base, *overrides, data=data))
    assert json.loads((tmp_path / "run" / "findings.json").read_text(encoding="utf-8"))["rules_checked"]


def test_a_second_attempt_does_not_keep_the_firsts_findings(tmp_path: Path, base: Path) -> None:
    from palate.train import RunFolder

    folder = RunFolder(tmp_path / "run")
    folder.begin(tiny_recipe(tmp_path, base))
    folder.write("findings.json", {"findings": []})
    folder.clear()
    assert not folder.has("findings.json")


def test_what_is_told_is_told_in_a_line(tmp_path: Path) -> None:
    watcher = Told()
    on_line = telling_diagnosis(tmp_path, watcher)
    (tmp_path / "recipe.yaml").write_text("output: here\n")
    for step in range(1, 31):
        norm = 40.0 if step == 22 else 1.0
        line = {"split": "train", "step": step, "loss": 0.6, "grad_norm": norm}
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        on_line(line)
    ((_, said),) = watcher.diagnosis
    assert "\n" not in said
    assert "info gradient_spikes" in said and "it was clipped to 1." in said
    assert diagnose_stage(tmp_path).findings[0].rule == "gradient_spikes"
