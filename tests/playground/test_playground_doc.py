"""docs/playground.md shows only what runs, and what it says of the world is so."""

from __future__ import annotations

import re
from pathlib import Path

import palate.playground
from palate.playground import style_of
from palate.playground.world import questions

PAGE = (Path(__file__).parents[2] / "docs" / "playground.md").read_text(encoding="utf-8")


def test_its_code_runs_and_prints_what_it_promises(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    exec(compile(code, "docs/playground.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ["preferred 1.0 True", "other 0.0 True", "1800 pairs"]


def test_its_samples_are_in_the_voices_it_names() -> None:
    rows = re.findall(r"^\| the \w+ \| (preferred|the other) \| (.*) \|$", PAGE, re.MULTILINE)
    assert [(label, style_of(text)) for label, text in rows] == [
        ("preferred", "preferred"),
        ("the other", "other"),
    ]


def test_it_counts_the_questions_right() -> None:
    assert f"There are {len(questions())} questions in four wordings each" in PAGE
    assert {len(question.wordings) for question in questions()} == {4}


def test_it_names_every_public_function() -> None:
    functions = set(palate.playground.__all__) - {"StyleName", "palate_home"}
    assert [name for name in sorted(functions) if name not in PAGE] == []
