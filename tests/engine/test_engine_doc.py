"""docs/engine.md shows only what runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tiny_folder import save_tiny

PAGE = (Path(__file__).parents[2] / "docs" / "engine.md").read_text(encoding="utf-8")


def test_its_code_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny(tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 9
    exec(compile("\n".join(blocks), "docs/engine.md", "exec"), {})
    assert "tree layout agrees with the model's own forward pass" in capsys.readouterr().out


def test_it_has_every_layout() -> None:
    from typing import get_args

    from palate.engine import Layout

    assert [name for name in get_args(Layout) if f"| `{name}` |" not in PAGE] == []
