"""`palate data curate` and `palate data split`, as typed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields

import pytest

from options_typed import options_of
from palate.cli.data import data_app
from palate.data.curation import CurationOptions, SplitOptions
from palate.errors import DataError


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [{"prompt": f"{i}?", "chosen": f"Yes {i}.", "rejected": f"no {i}"} for i in range(20)]
    lines.append({"prompt": "Where?", "chosen": "Here.", "rejected": "Here."})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def run(*words):
    data_app(list(words), result_action="return_value")


def test_curate_writes_both_files_and_a_table(rows, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    run("curate", rows, "-o", str(out), "--max-chars", "6")
    printed = capsys.readouterr().out
    assert "length                    20        10        10" in printed
    assert "10 rows written" in printed
    assert f"what went, and why: {tmp_path / 'out.set_aside.jsonl'}\n" in printed
    assert len(out.read_text().splitlines()) == 10
    aside = [json.loads(line) for line in (tmp_path / "out.set_aside.jsonl").read_text().splitlines()]
    assert [row["line"] for row in aside] == list(range(11, 22))
    assert {row["reason"] for row in aside[:10]} == {"length: a completion is longer than 6 characters"}


def test_a_dry_run_prints_the_same_and_writes_nothing(rows, tmp_path, capsys):
    run("curate", rows, "--dry-run", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["num_rows"], found["num_kept"], found["num_set_aside"], found["out"]) == (21, 20, 1, None)
    assert found["steps"][0] == {
        "step": "read", "num_in": 21, "num_removed": 1, "num_left": 20, "places": [f"{rows}:21"],
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_nothing_left_is_exit_1_and_no_file(rows, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run("curate", rows, "-o", str(tmp_path / "out.jsonl"), "--min-chars", "100")
    assert stop.value.code == 1
    assert "no row is left" in capsys.readouterr().out
    assert not (tmp_path / "out.jsonl").exists()
    assert (tmp_path / "out.set_aside.jsonl").exists()


def test_balancing_all_away_is_not_called_balanced(tmp_path, capsys):
    path = tmp_path / "one_way.jsonl"
    lines = [{"prompt": f"{i}?", "chosen": "longer " * (i + 1), "rejected": "no"} for i in range(9)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(SystemExit):
        run("curate", str(path), "-o", str(tmp_path / "out.jsonl"), "--balance", "drop")
    printed = capsys.readouterr().out
    assert "    after  no pair is left\n    not as near as it should be" in printed
    assert "equally long" not in printed


@pytest.mark.parametrize("words", [[], ["--dry-run", "-o", "x.jsonl"], ["--dry-run", "--overwrite"]])
def test_a_file_or_a_dry_run(rows, words):
    with pytest.raises(DataError):
        run("curate", rows, *words)


def test_nothing_is_overwritten_unasked(rows, tmp_path):
    out = str(tmp_path / "out.jsonl")
    run("curate", rows, "-o", out)
    with pytest.raises(DataError, match="there already"):
        run("curate", rows, "-o", out)
    run("curate", rows, "-o", out, "--overwrite")
    with pytest.raises(DataError, match="source itself"):
        run("curate", rows, "-o", rows, "--overwrite")


def test_every_option_of_the_library_can_be_typed():
    """None is hidden, or goes by another name; flags have no opposite, since nothing said is the opposite."""
    for command, options in (("data curate", CurationOptions), ("data split", SplitOptions)):
        typed = set(options_of(command))
        assert {("--" + field.name.replace("_", "-"),) for field in fields(options)} < typed


def test_options_are_there_before_anything_that_computes_with_them():
    """No help page waits for numpy."""
    program = "import sys, palate.cli.app; print(sorted({'numpy', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_split_says_what_is_where(rows, tmp_path, capsys):
    run("split", rows, "-o", str(tmp_path / "parts"), "--eval-fraction", "0.2", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["num_rows"], found["num_set_aside"]) == (21, 1)
    assert found["num_records"] == {"train": 16, "eval": 4}
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["eval.jsonl", "train.jsonl"]
    run("split", rows, "-o", str(tmp_path / "more"), "--eval-fraction", "0.2", "--test-fraction", "0.2")
    printed = capsys.readouterr().out
    assert "21 rows, 1 of them set aside; 20 groups, the largest of 1 rows" in printed
    assert "test           4" in printed
