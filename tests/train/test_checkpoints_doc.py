"""docs/checkpoints.md shows only what runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from palate.train import RunFolder
from palate.train.checkpoint import save_checkpoint, verify_checkpoint
from tiny_run import run, tiny_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")


def test_its_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = RunFolder(tmp_path / "runs" / "mine").checkpoints
    for step in (50, 100):
        save_checkpoint(checkpoints, step, lambda folder: None, {}, {"progress": step})
    (checkpoints / "step-000100" / "state.safetensors").open("r+b").write(b"\1")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    exec(compile(code, "docs/checkpoints.md", "exec"), {})
    (damage,) = re.findall(r"^```\n(step-\d+ is passed over.*?)\n```$", PAGE, re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == [
        "step-000050 whole",
        f"step-000100 {[damage.partition('passed over: ')[2]]}",
        damage,
        "50 0 ['progress']",
    ]


def test_it_names_every_file_of_a_checkpoint(tmp_path: Path, base: Path) -> None:
    run(tiny_recipe(tmp_path, base))
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    assert verify_checkpoint(newest) == []
    (listing,) = re.findall(
        r"^runs/mine/checkpoints/step-000100/\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
    )
    assert sorted(line.split()[0] for line in listing.splitlines()) == sorted(
        file.name for file in newest.iterdir()
    )
