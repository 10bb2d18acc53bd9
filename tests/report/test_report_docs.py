"""docs/report.md shows only what runs, and says how much a page holds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from synthetic_comparison import write_full_run

from palate.cli import main
from palate.report import samples
from palate.report.phrases import Phrases

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")


def test_its_code_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_full_run(tmp_path / "runs" / "demo", num_steps=8)
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert [kind for kind, _ in blocks] == ["sh", "python"]
    for kind, code in blocks:
        if kind == "python":
            exec(compile(code, "docs/report.md", "exec"), {})
            continue
        for line in code.splitlines():
            command, *words = shlex.split(line)
            assert command == "palate"
            with pytest.raises(SystemExit) as ended:
                main(words)
            assert not ended.value.code


def test_its_limits_are_the_page_s() -> None:
    assert f"at most {samples.MAX_SAMPLES} prompts, {samples.MAX_ANSWERS} answers" in PAGE
    assert f"{samples.MAX_CHARACTERS:,} characters of an answer" in PAGE
    assert f"{samples.MAX_CHARACTERS_IN_ALL:,} characters of answers in all" in PAGE


def test_it_names_the_sections_as_the_page_does() -> None:
    say = Phrases("en")
    names = ["findings", "curves", "rates", "samples", "worse", "lengths", "style", "measures", "benchmarks"]
    for name in [*names, "data", "audit", "judge", "speed", "recipe", "lineage", "environment"]:
        assert re.search(rf"\| (?:[\w, ]+, )?{re.escape(say(f'{name}_title'))}[ ,|]", PAGE), name


def test_the_readme_leads_here() -> None:
    assert "docs/report.md" in (ROOT / "README.md").read_text(encoding="utf-8")
