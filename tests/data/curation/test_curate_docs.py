"""docs/curate.md shows only what runs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from palate.cli.data import data_app
from palate.data.curation import CurationOptions

PAGE = (Path(__file__).parents[3] / "docs" / "curate.md").read_text(encoding="utf-8")


def test_its_code_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    colours = ["red", "blue", "green"]
    rows = [{"prompt": f"Why {c}?", "chosen": f"For {c} is warm.", "rejected": f"No {c}."} for c in colours]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert [language for language, _ in blocks] == ["sh", "python", "python"]
    for language, code in blocks:
        if language == "python":
            exec(compile(code, "docs/curate.md", "exec"), {})
            continue
        for command in code.splitlines():
            room, app, *words = shlex.split(command)
            assert (room, app) == ("palate", "data")
            data_app(words, result_action="return_value")
    assert "eval           1" in capsys.readouterr().out


def test_every_option_stands_on_it():
    options = ["--" + name.replace("_", "-") for name in CurationOptions.__slots__]
    assert [option for option in options if option not in PAGE] == []
