"""docs/audit.md shows only what runs, and has every check."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from palate.cli.data import data_app
from palate.data.audit import CHECKS

PAGE = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")


def test_its_code_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert [language for language, _ in blocks][:3] == ["python", "sh", "python"]
    for language, code in blocks:
        if language == "python":
            exec(compile(code, "docs/audit.md", "exec"), {})
            continue
        command, room, *words = shlex.split(code)
        assert (command, room) == ("palate", "data")
        with pytest.raises(SystemExit) as stopped:
            data_app(words, result_action="return_value")
        assert stopped.value.code == 1
    said = capsys.readouterr().out
    assert "5 rows = 4 pairs + 1 set aside" in said
    assert "contradictory_pair  1" in said


@pytest.mark.parametrize("check", CHECKS)
def test_it_has_every_check(check):
    assert f"| `{check}` |" in PAGE
