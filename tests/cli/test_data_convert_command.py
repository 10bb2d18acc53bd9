"""`palate data convert`, as typed."""

from __future__ import annotations

import json

import pytest

from palate.cli.data import data_app
from palate.data import read_records
from palate.errors import DataError
from palate.recipe import SourceOptions

ROWS = [
    {"question": "1?", "good": "\x1b[31myes", "bad": "no"},
    {"question": "2?", "good": "", "bad": "no"},
]
COLUMNS = ("--columns", "prompt=question,chosen=good,rejected=bad")


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "[b]rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def run(*words):
    data_app(["convert", *words], result_action="return_value")


def test_json_has_the_account(rows, tmp_path, capsys):
    out = tmp_path / "clean.parquet"
    run(rows, "-o", str(out), *COLUMNS, "--json")
    done = json.loads(capsys.readouterr().out)
    assert {name: done[name] for name in ("num_rows", "num_kept", "num_set_aside", "num_written")} == {
        "num_rows": 2,
        "num_kept": 1,
        "num_set_aside": 1,
        "num_written": 1,
    }
    assert (done["out"], done["set_aside_file"]) == (str(out), str(tmp_path / "clean.set_aside.jsonl"))
    assert done["set_aside"][0]["places"] == [f"{rows}:2"]
    assert len(read_records(SourceOptions(source=str(out))).records) == 1


def test_the_human_form_says_what_was_written_where(rows, tmp_path, capsys):
    run(rows, "--out", str(tmp_path / "clean.jsonl"), *COLUMNS, "--kind", "labels", "--system", "Be brief.")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[b]rows.jsonl" in out
    assert "2 rows = 1 kept + 1 set aside" in out
    assert f"2 labels written to {tmp_path / 'clean.jsonl'}" in out
    assert f"{rows}:2" in out
    first = json.loads((tmp_path / "clean.jsonl").read_text().splitlines()[0])
    assert first["prompt"][0] == {"role": "system", "content": "Be brief."}


def test_nothing_kept_ends_with_1(rows, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        run(rows, "-o", str(tmp_path / "clean.jsonl"), "--layout", "strings")
    assert caught.value.code == 1
    assert "nothing was kept, so nothing was written" in capsys.readouterr().out


def test_an_old_file_stays_unless_told(rows, tmp_path):
    (tmp_path / "clean.jsonl").write_text("old")
    with pytest.raises(DataError, match="there already"):
        run(rows, "-o", str(tmp_path / "clean.jsonl"), *COLUMNS)
    assert (tmp_path / "clean.jsonl").read_text() == "old"
    run(rows, "-o", str(tmp_path / "clean.jsonl"), *COLUMNS, "--overwrite", "--limit", "1")
    assert len((tmp_path / "clean.jsonl").read_text().splitlines()) == 1
