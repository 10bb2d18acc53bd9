"""docs/statistics.md shows only what runs, and prints what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_every_block_says_what_it_prints() -> None:
    assert len(BLOCKS) == PAGE.count("```python") >= 5


@pytest.mark.parametrize(("code", "printed"), BLOCKS)
def test_its_code_prints_what_it_says(code: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "docs/statistics.md", "exec"), {})
    assert capsys.readouterr().out == printed


def test_it_names_the_figures_of_the_titles() -> None:
    """test_triads counts them."""
    assert "68 of 1,140 triads do, in 41 of 114 ideas, and in 91 ideas" in PAGE


def test_the_readme_leads_here() -> None:
    assert "[statistics](docs/statistics.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
