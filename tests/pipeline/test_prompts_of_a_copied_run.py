"""A run that was copied still names its prompts as they were seen from where it was started."""

from __future__ import annotations

from pathlib import Path

import pytest

from palate.errors import DataError, PalateError
from palate.pipeline.comparing import compare_command

RECIPE = """\
output: runs/first
model:
  base: playground
data:
  train: {source: playground}
objective:
  type: dpo
compare:
  prompts: held/prompts.jsonl
"""


def test_the_error_says_whose_path_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "copied"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    with pytest.raises(DataError) as raised:
        compare_command(["copied"], {})
    assert raised.value.where == "held/prompts.jsonl"
    assert "recipe of copied" in raised.value.why and "--prompts" in raised.value.next
    with pytest.raises(PalateError) as typed:
        compare_command(["copied"], {"prompts": "elsewhere.jsonl"})
    assert "recipe of copied" not in typed.value.why
