"""docs/annotate.md shows only what runs, and names every option, key and figure."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import palate.pipeline.annotating as annotating
from options_typed import options_not_on, options_of
from palate.annotate.rendering import KEYS
from palate.annotate.settings import Settings
from palate.annotate.standing import standing
from palate.cli import main
from palate.data.vote_columns import VoteColumns

PAGE = (Path(__file__).parents[2] / "docs" / "annotate.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_its_code_runs(tmp_path, monkeypatch, capsys) -> None:
    """From top to bottom, but for the first command, which shows the file that is made below it."""
    monkeypatch.chdir(tmp_path)
    # The server is started in tests of its own; here it stops as soon as it is ready.
    monkeypatch.setattr(annotating, "serve", lambda app, listening, ready: ready())
    served, made, *rest = BLOCKS
    assert (served[0], made[0], len(rest)) == ("sh", "python", 6)
    said = ""
    for language, code in (made, served, *rest):
        if language == "python":
            exec(compile(code, "docs/annotate.md", "exec"), {})
            continue
        command, *words = shlex.split(code)
        assert command == "palate"
        with pytest.raises(SystemExit) as ended:
            main([*words, "--port", "0"] if words[1] == "answers.jsonl" else words)
        out, err = capsys.readouterr()
        assert not ended.value.code, err
        said += out
    assert "12 to vote on; votes go to answers.votes.sqlite3" in said
    assert "Krippendorff's alpha" in said
    assert "tuned is preferred to base" in said
    assert "12 items = 9 pairs + 3 set aside" in said
    assert "2 votes of anna = 2 added + 0 there before" in said


@pytest.mark.parametrize(
    ("command", "least"),
    [("annotate", 14), ("annotate export", 6), ("annotate import", 3), ("annotate stats", 2)],
)
def test_it_names_every_option(command: str, least: int) -> None:
    assert len(options_of(command)) >= least
    assert options_not_on(PAGE, command) == []


def test_it_names_every_key() -> None:
    shown = {"ArrowLeft": "←", "ArrowRight": "→", "Backspace": "Backspace"}
    for keys in KEYS.values():
        for key in keys:
            assert f"`{shown.get(key, key.upper())}`" in PAGE, key


def test_it_names_what_a_script_may_look_for() -> None:
    from palate.annotate.ballots import Ballots

    figures = standing(Ballots(), [], Settings()).as_dict()
    for name in figures:
        assert name.startswith("num_") or name == "question" or f"| `{name}` |" in PAGE, name


def test_it_names_every_column_that_can_be_given() -> None:
    for name in set(VoteColumns.__dataclass_fields__) - {"models"}:
        assert f"{name}=" in PAGE, name


def test_the_usual_settings_are_those_it_says() -> None:
    usual = Settings()
    assert (usual.overlap, usual.repeat_share, usual.repeat_after, usual.order) == (1, 0.05, 10, "given")
    assert "0.05 unless given" in PAGE
    assert "at least ten others later" in PAGE
