"""docs/asking.md shows only what runs, and every status and limit stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from palate.asking import Limits, Status
from running_server import RunningServer

PAGE = (Path(__file__).parents[2] / "docs" / "asking.md").read_text(encoding="utf-8")


def test_its_code_runs_from_top_to_bottom(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    for code in blocks:
        assert "http://localhost:8000/v1" in code
        exec(compile(code.replace("http://localhost:8000/v1", server.base_url), "docs/asking.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["answered"] * 3
    assert lines[3:5] == ["{'answered': 3}", "answered from the store"]
    assert lines[5].startswith("schema Answer")
    assert len(server.arrivals()) == 4


def test_it_has_every_status_and_limit() -> None:
    assert [status for status in get_args(Status) if f"| `{status}` |" not in PAGE] == []
    assert [name for name in Limits.__dataclass_fields__ if f"`{name}`" not in PAGE] == []
