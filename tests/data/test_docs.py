"""docs/data.md shows only what runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from palate.cli.data import data_app
from palate.data import LAYOUTS

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def test_its_code_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert (len(blocks) >= 9, {language for language, _ in blocks}) == (True, {"python", "sh"})
    for language, code in blocks:
        if language == "python":
            exec(compile(code, "docs/data.md", "exec"), {})
        else:
            command, room, *words = shlex.split(code)
            assert (command, room) == ("palate", "data")
            data_app(words, result_action="return_value")
    assert "3 rows = 2 pairs + 1 set aside" in capsys.readouterr().out


def test_it_has_every_layout():
    assert [name for name in LAYOUTS if f"| `{name}` |" not in PAGE] == []
