"""docs/style.md and docs/drift.md show only what runs, and print what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("style.md", "drift.md")}
BLOCK = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_its_code_prints_what_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(PAGES[name])
    assert len(blocks) == PAGES[name].count("```python") > 0
    for code, printed in blocks:
        exec(compile(code, f"docs/{name}", "exec"), {})
        assert capsys.readouterr().out == printed


@pytest.mark.parametrize("name", PAGES)
def test_the_readme_leads_there(name: str) -> None:
    assert f"(docs/{name})" in (ROOT / "README.md").read_text(encoding="utf-8")
