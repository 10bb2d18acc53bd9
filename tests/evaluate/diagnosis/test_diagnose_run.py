"""Reading a run folder, writing findings.json, and speaking while a run trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from palate.errors import ArtifactError
from palate.evaluate.diagnosis import LiveDiagnosis, diagnose_run, write_diagnosis
from palate.evaluate.diagnosis.finding import Finding


def a_run(folder: Path, num_steps: int = 40, *, spike_at: int | None = 25) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text("output: here\n")
    (folder / "metrics.jsonl").write_text("".join(line(step, spike_at) for step in range(1, num_steps + 1)))
    return folder


def line(step: int, spike_at: int | None = None, **figures: Any) -> str:
    norm = 30.0 if step == spike_at else 1.0
    return json.dumps({"split": "train", "step": step, "loss": 0.6, "grad_norm": norm, **figures}) + "\n"


def test_findings_json_is_what_was_diagnosed(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    found = write_diagnosis(run)
    content = json.loads((run / "findings.json").read_text(encoding="utf-8"))
    assert content == found.as_dict()
    assert set(content) == {"findings", "rules_checked", "rules_not_applicable", "best_step"}
    (finding,) = content["findings"]
    assert set(finding) == {
        "rule", "case", "severity", "sure", "step", "evidence", "sentence", "meaning", "remedy", "recipe_key",
        "recipe_value",
    }  # fmt: skip
    assert (finding["rule"], finding["step"]) == ("gradient_spikes", 25)


def test_what_is_not_measured_is_null(tmp_path: Path) -> None:
    found = write_diagnosis(a_run(tmp_path, num_steps=3))
    assert found.best_step is None
    assert found.findings == ()
    assert "it needs 20 steps" in found.not_applicable["gradient_spikes"]


def test_the_best_step_is_the_one_that_was_kept_or_else_the_best_so_far(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    with (run / "metrics.jsonl").open("a") as file:
        for step, loss in ((10, 0.6), (20, 0.5), (30, 0.55)):
            file.write(json.dumps({"split": "eval", "step": step, "loss": loss}) + "\n")
    assert diagnose_run(run).best_step == 20
    (run / "summary.json").write_text('{"status": "done", "best_step": 30}')
    assert diagnose_run(run).best_step == 30


def test_rules_about_the_end_wait_for_it(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    assert diagnose_run(run).not_applicable["noisy_labels"] == "told when the run is over"
    (run / "summary.json").write_text('{"status": "done"}')
    assert diagnose_run(run).not_applicable["noisy_labels"] != "told when the run is over"


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({}, "not a run folder"),
        ({"recipe.yaml": "output: here\n"}, "no curves yet"),
        ({"metrics.jsonl": "{}\n" * 2}, "metrics.jsonl:1"),
        ({"metrics.jsonl": line(1), "summary.json": "{"}, "summary.json"),
    ],
)
def test_what_cannot_be_diagnosed_is_said(tmp_path: Path, files: dict[str, str], what: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ArtifactError, match=what):
        diagnose_run(tmp_path)


def test_a_line_that_is_being_written_does_no_harm(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"split": "train", "st')
    assert [finding.rule for finding in diagnose_run(run).findings] == ["gradient_spikes"]


def test_a_resumed_runs_second_lines_count(tmp_path: Path) -> None:
    """A step that was taken again, without the spike, has none."""
    run = a_run(tmp_path)
    with (run / "metrics.jsonl").open("a") as file:
        file.write(line(25))
    assert diagnose_run(run).findings == ()


def test_a_finding_is_told_once_and_soon(tmp_path: Path) -> None:
    """The spike of step 25 is told within a tenth more steps, and not again."""
    told: list[tuple[int, str]] = []
    at = 0

    def tell(finding: Finding) -> None:
        told.append((at, finding.rule))

    live = LiveDiagnosis(a_run(tmp_path, 0), tell)
    for at in range(1, 101):
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write(line(at, spike_at=25))
        live.on_line(json.loads(line(at)))
    assert [rule for _, rule in told] == ["gradient_spikes"]
    assert 25 <= told[0][0] <= 30


def test_looking_costs_little_beside_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten thousand steps a few dozen are looked at, each a tenth later than the last."""
    from palate.evaluate.diagnosis import live as module

    looks: list[Path] = []
    monkeypatch.setattr(module, "read_metrics", lambda path: looks.append(path))
    live = LiveDiagnosis(tmp_path, lambda finding: None)
    for step in range(1, 10_001):
        live.on_line({"step": step, "split": "train"})
    assert 30 < len(looks) < 90
