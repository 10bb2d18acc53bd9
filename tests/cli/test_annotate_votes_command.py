"""`palate annotate import`, `stats` and `export`, as typed."""

from __future__ import annotations

import json

import pytest

from palate.cli.annotate import annotate_app
from palate.errors import CallError, DataError

ROWS = [
    ("\x1b[31mmoss", "On moss", "Moss!", "1"),
    ("rain", "On rain", "Rain!", "b"),
    ("snow", "On snow", "Snow!", "?"),
]


def run(*words: str) -> None:
    annotate_app(list(words), result_action="return_value")


@pytest.fixture
def votes(tmp_path) -> str:
    path = tmp_path / "[b]votes.jsonl"
    names = ("idea", "base_title", "tuned_title", "tuned_title_preferred")
    path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in ROWS))
    return str(path)


@pytest.fixture
def store(tmp_path) -> str:
    return str(tmp_path / "[i]store.sqlite3")


def test_plain_lines_say_what_happened(votes, store, capsys) -> None:
    run("import", votes, "--store", store, "--annotator", "ann")
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "3 rows = 2 kept + 1 set aside" in said
    assert f"{votes}:3" in said
    assert "2 votes of ann = 2 added + 0 there before" in said
    run("stats", "--store", store)
    said = capsys.readouterr().out
    assert f"{store}\n2 items (2 to compare), 2 with votes" in said
    assert "tuned has a win rate of 100.0% over 2 comparisons" in said


def test_json_is_alone_on_the_output(votes, store, tmp_path, capsys) -> None:
    run("import", votes, "--store", store, "--json")
    done = json.loads(capsys.readouterr().out)
    assert (done["num_added"], done["set_aside"][0]["places"]) == (2, [f"{votes}:3"])
    run("stats", "--store", store, "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["contests"][0]["num_wins"] == 2
    run("stats", "--store", store, "--blind", "--json")
    assert "tuned" not in capsys.readouterr().out
    run("export", "--store", store, "-o", str(tmp_path / "pairs.jsonl"), "--json")
    assert json.loads(capsys.readouterr().out)["num_pairs"] == 2


def test_stats_are_the_same_bytes_each_time(votes, store, capsys) -> None:
    run("import", votes, "--store", store)
    capsys.readouterr()
    said = set()
    for _ in range(10):
        run("stats", "--store", store, "--json")
        said.add(capsys.readouterr().out)
    assert len(said) == 1


def test_nothing_to_export_or_to_import_is_exit_1(votes, store, tmp_path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(json.dumps({"idea": "p", "x_a": "1", "x_b": "2", "x_b_preferred": "?"}) + "\n")
    with pytest.raises(SystemExit) as stopped:
        run("import", str(bad), "--store", store)
    assert stopped.value.code == 1
    with pytest.raises(SystemExit) as stopped:
        run("export", "--store", store, "-o", str(tmp_path / "pairs.jsonl"))
    assert stopped.value.code == 1


def test_a_wrong_call_is_named(votes, store, tmp_path) -> None:
    with pytest.raises(DataError, match="nothing a vote has"):
        run("import", votes, "--store", store, "--columns", "chosen=x")
    with pytest.raises(CallError, match="no store of votes"):
        run("stats", "--store", str(tmp_path / "none.sqlite3"))
    run("import", votes, "--store", store)
    with pytest.raises(CallError, match="nothing is asked for"):
        run("export", "--store", store)


def test_columns_are_named_where_their_names_say_nothing(tmp_path, store, capsys) -> None:
    path = tmp_path / "f.csv"
    path.write_text("q,one,two,won\nWhy?,So.,Because.,two\n")
    run("import", str(path), "--store", store, "--columns", "a=one,b=two,preferred=won,prompt=q")
    assert "read as a: one, b: two, preferred: won, prompt: q" in capsys.readouterr().out
