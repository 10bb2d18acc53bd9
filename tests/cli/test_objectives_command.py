"""`palate objectives`, as typed."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys

import pytest

from palate.cli import main
from palate.errors import RecipeError
from palate.recipe import OBJECTIVES
from palate.recipe.objective.listing import describe_objective, list_objectives
from palate.recipe.objective.registry import refused_objectives

KEYS = {"name", "data", "reads", "needs_reference", "takes_margin", "defaults", "paper"}


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["objectives", *words])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Output goes to a terminal, whose width the test sets."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return monkeypatch


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_json_lists_every_objective(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "--json"))
    assert [each["name"] for each in found] == list(OBJECTIVES)
    assert all(set(each) == KEYS for each in found)
    by_name = {each["name"]: each for each in found}
    assert by_name["kto"]["data"] == "labels"
    assert by_name["kto"]["defaults"] == {"beta": 0.1, "desirable_weight": 1.0, "undesirable_weight": 1.0}
    assert by_name["plackett_luce"]["data"] == "rankings"
    assert by_name["reward"]["reads"] == "scores"
    assert by_name["reward"]["takes_margin"] is True
    assert by_name["reward"]["needs_reference"] is False
    assert "arXiv:2305.18290" in by_name["dpo"]["paper"]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_is_listed_is_so(name: str) -> None:
    listed = next(each for each in list_objectives() if each["name"] == name)
    options = OBJECTIVES[name]()
    assert listed["data"] == options.data
    assert listed["needs_reference"] is options.needs_reference
    assert listed["takes_margin"] is options.takes_margin
    assert options == OBJECTIVES[name].model_validate(listed["defaults"])


def test_a_pipe_gets_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys).splitlines()
    assert len(lines) == len(OBJECTIVES)
    assert lines[0].startswith("dpo: pairs; reference yes; beta: 0.1, ")
    assert any(line.startswith("sft: pairs; reference no; no options; ") for line in lines)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_gets_a_table_that_fits(
    columns: int, terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.setenv("COLUMNS", str(columns))
    lines = plain(said(capsys)).splitlines()
    assert lines[0].split()[:4] == ["type", "data", "reference", "options,"]
    assert max(map(len, lines)) <= columns
    assert [line.split()[0] for line in lines[1:] if line[0] != " "] == list(OBJECTIVES)
    # No name, kind or option is torn apart or cut off, however narrow.
    assert "…" not in "".join(lines)
    for each in list_objectives():
        for option, default in each["defaults"].items():
            if isinstance(default, int | float):
                assert any(f"{option}: {json.dumps(default)}" in line for line in lines)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_one_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(said(capsys, name).split())
    described = describe_objective(name)
    assert text.startswith(f"{name} {described['summary']}")
    for option in described["options"]:
        assert f"{option['name']}: " in text
        assert option["description"] in text
    assert OBJECTIVES[name].paper in text


@pytest.mark.parametrize("name", OBJECTIVES)
def test_its_formula_is_that_of_its_function(name: str) -> None:
    """Read from the source, without importing it; compared here with the function itself."""
    module, _, function = OBJECTIVES[name].loss.partition(":")
    __import__(module)
    docstring = inspect.getdoc(getattr(sys.modules[module], function)) or ""
    computes = describe_objective(name)["computes"]
    assert computes
    assert docstring.startswith(computes)
    assert "Args:" not in computes


def test_formulas_keep_their_lines(terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.setenv("COLUMNS", "80")
    lines = plain(said(capsys, "plackett_luce")).splitlines()
    assert "      loss = -sum_k (r_k - log sum_{j >= k} exp(r_j))" in lines
    assert max(map(len, lines)) <= 80


def test_one_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "bco", "--json"))
    assert set(found) == KEYS | {"summary", "options", "computes"}
    assert found["options"] == [
        {
            "name": "beta",
            "default": 0.1,
            "description": "How strongly the policy is held to the reference; larger holds it closer.",
        }
    ]


def test_a_slip_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["objectives", "ktoo"])
    assert ended.value.code == 2
    assert '"ktoo": unknown objective. Did you mean "kto"?' in capsys.readouterr().err


def test_what_is_installed_and_cannot_be_used_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error: standard output is the list of what can be used."""
    reason = "their-package 0.1 offers it, but its module cannot be imported"
    for place in ("palate.cli.objectives", "palate.recipe.objective.listing"):
        monkeypatch.setattr(f"{place}.refused_objectives", lambda: {"theirs": reason})
    with pytest.raises(SystemExit, match="0"):
        main(["objectives", "--json"])
    printed = capsys.readouterr()
    assert "theirs" not in printed.out
    assert f'"theirs" cannot be used: {reason}' in printed.err
    with pytest.raises(RecipeError, match=reason):
        describe_objective("theirs")


def test_nothing_is_refused_here() -> None:
    assert refused_objectives() == {}


def test_it_starts_at_once() -> None:
    """No torch, neither for the list nor for a formula."""
    program = (
        "import sys; from palate.cli.objectives import objectives; objectives(); objectives('kto'); "
        "print([name for name in sys.modules if name in ('torch', 'transformers', 'palate.objectives')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
