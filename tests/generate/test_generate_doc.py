"""docs/generate.md shows only what runs, and names every option."""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
from pathlib import Path

import pytest

from options_typed import options_not_on, options_of
from palate.cli import main
from palate.playground import model_folder

PAGE = (Path(__file__).parents[2] / "docs" / "generate.md").read_text(encoding="utf-8")


def test_its_code_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # Another model by its weights: the last of them differ in their last bit.
    shutil.copytree(model_folder(), tmp_path / "weak")
    with (tmp_path / "weak" / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        last = file.read(1)
        file.seek(-4, 2)
        file.write(bytes([last[0] ^ 1]))
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert [language for language, _ in blocks].count("sh") == 4
    for language, code in blocks:
        if language == "python":
            exec(compile(code, "docs/generate.md", "exec"), {})
            continue
        command, *words = shlex.split(code)
        assert command == "palate"
        try:
            main(words)
        except SystemExit as ended:
            assert not ended.code, capsys.readouterr().err
    assert "3 prompts = " in capsys.readouterr().out


@pytest.mark.parametrize("command", ["candidates", "contrast", "triples"])
def test_it_names_every_option(command):
    assert len(options_of(f"generate {command}")) > 20
    assert options_not_on(PAGE, f"generate {command}") == []


def test_it_names_every_filter():
    source = inspect.getsource(__import__("palate.generate.triple_filters", fromlist=["x"]))
    for name in re.findall(r'return "(\w+)"', source):
        assert f"`{name}`" in PAGE, name
