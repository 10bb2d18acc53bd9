"""`palate diagnose` as typed: plain lines, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palate.cli import main


def a_run(folder: Path, **figures: float) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text("output: here\ntrain: {max_grad_norm: null}\n")
    lines = []
    for step in range(1, 41):
        values = {"loss": 0.6, "grad_norm": 30.0 if step == 25 else 1.0, **figures}
        lines.append(json.dumps({"split": "train", "step": step, **values}) + "\n")
    (folder / "metrics.jsonl").write_text("".join(lines))
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main(["diagnose", *words])
    caught = capsys.readouterr()
    return int(done.value.code or 0), caught.out, caught.err


def test_plain_lines_say_what_it_is_what_it_means_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = said(capsys, str(a_run(tmp_path)))
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("warning gradient_spikes: ") and "at 1 of 40 steps" in lines[0]
    assert lines[1].startswith("  means: A few batches")
    assert lines[2].startswith("  next: Look for odd rows")
    assert lines[3] == "  try: train.max_grad_norm=2.0"
    assert any(line.startswith("not checked: wrong_reference: ") for line in lines)


def test_json_is_findings_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(tmp_path)
    code, out, _ = said(capsys, str(run), "--json")
    assert code == 0
    assert json.loads(out) == json.loads((run / "findings.json").read_text(encoding="utf-8"))
    assert json.loads(out)["findings"][0]["rule"] == "gradient_spikes"


def test_an_error_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, str(a_run(tmp_path, kl=0.0)))
    assert code == 1
    assert out.startswith("error adapter_not_moving: ")


def test_what_is_no_run_ends_with_an_error_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capsys, str(tmp_path))
    assert (code, out) == (1, "")
    assert "this is not a run folder" in err


def test_names_in_a_recipe_cannot_script_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path)
    (run / "data.json").write_text(json.dumps({"eval": {"set_aside": "\x1b[31m"}}))
    _, out, _ = said(capsys, str(run))
    assert "\x1b" not in out
