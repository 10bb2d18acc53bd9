"""`palate plan`, as typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from palate.cli.app import main
from palate.recipe import write_recipe
from tiny_run import tiny_recipe


@pytest.fixture
def recipe(tmp_path: Path, base: Path) -> str:
    path = tmp_path / "recipe.yaml"
    write_recipe(tiny_recipe(tmp_path, base), path)
    return str(path)


def typed(capsys, *words: str) -> tuple[int, str, str]:
    code = 0
    try:
        main(["plan", *words])
    except SystemExit as stop:
        code = int(stop.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_json_has_the_promised_names(recipe: str, capsys) -> None:
    code, out, _ = typed(capsys, recipe, "train.max_steps=3", "--json")
    plan = json.loads(out)
    assert code == 0
    assert (plan["num_steps"], plan["fits"], plan["probe"]) == (3, True, None)
    assert plan["peak_memory_bytes"] == sum(plan["memory"].values())
    assert plan["disk_bytes"] > 0


@pytest.mark.parametrize("width", [80, 120])
def test_the_human_form_fits_the_terminal(recipe: str, capsys, monkeypatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")  # to rich, a terminal
    code, out, _ = typed(capsys, recipe)
    assert code == 0
    lines = [line.rstrip() for line in re.sub("\x1b\\[[0-9;]*m", "", out).splitlines()]
    assert max(map(len, lines)) <= width
    starts = [line for line in lines if line and not line.startswith(" ")]
    assert [line.split()[0] for line in starts] == ["steps", "tokens", "memory", "disk"]
    (peak,) = (line for line in lines if line.startswith("  peak"))
    assert peak.split()[2] == "GB"
    (steps,) = (line for line in lines if line.startswith("  optimizer steps"))
    assert steps.split()[2] == "4"


def test_where_no_person_looks_each_line_stands_whole(recipe: str, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    code, out, _ = typed(capsys, recipe)
    assert code == 0
    (line,) = (line for line in out.splitlines() if line.startswith("  checkpoints") and "best" in line)
    assert line.endswith("on disk at once, one being written")
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_what_cannot_fit_ends_with_1_and_says_what_to_do(recipe: str, capsys, monkeypatch) -> None:
    monkeypatch.setattr("palate.train.plan.available_memory_bytes", lambda device: 10_000_000)
    code, out, err = typed(capsys, recipe)
    assert code == 1
    assert "this run does not fit in memory" in err
    assert "why:" in err and "next:" in err
    assert "peak" in out, "the plan is shown all the same"


def test_a_slip_in_the_recipe_ends_with_2(recipe: str, capsys) -> None:
    code, out, err = typed(capsys, recipe, "train.epoch=3")
    assert (code, out) == (2, "")
    assert 'Did you mean "epochs"' in err


def test_a_probe_measures_and_leaves_no_run(recipe: str, capsys, tmp_path: Path) -> None:
    code, out, _ = typed(capsys, recipe, "--probe", "--json")
    plan = json.loads(out)
    assert code == 0
    probe = plan["probe"]
    assert probe["seconds_per_step"] * plan["num_steps"] == pytest.approx(probe["train_seconds"])
    parts = ("reference_seconds", "train_seconds", "evaluation_seconds")
    assert sum(probe[part] for part in parts) == pytest.approx(probe["total_seconds"])
    assert probe["peak_memory_bytes"] > 0
    assert not (tmp_path / "run").exists()
    code, out, _ = typed(capsys, recipe, "--probe")
    assert "measured on two steps" in out
