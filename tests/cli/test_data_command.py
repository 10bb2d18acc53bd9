"""`palate data inspect`, as typed."""

from __future__ import annotations

import json

import pytest

from palate.cli.data import data_app
from palate.errors import DataError

ROWS = [
    {
        "prompt": "What [bold]is[/bold] a mill?",
        "chosen": "A house \x1b[31mthat grinds. " + "x" * 300,
        "rejected": "Noise.",
    },
    {"prompt": "Where?", "chosen": "Here.", "rejected": "Here."},
]


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def run(*words):
    data_app(list(words), result_action="return_value")


def test_json_has_the_promised_names(rows, capsys):
    run("inspect", rows, "--json")
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"layout", "num_rows", "num_kept", "num_set_aside", "examples", "set_aside"}
    assert (found["layout"], found["num_rows"], found["num_kept"], found["num_set_aside"]) == (
        "strings",
        2,
        1,
        1,
    )
    assert found["examples"][0]["chosen"][0]["content"] == ROWS[0]["chosen"]


def test_the_human_form_shows_counts_examples_and_reasons(rows, capsys):
    run("inspect", rows)
    out = capsys.readouterr().out
    assert "layout strings" in out
    assert "2 rows = 1 pairs + 1 set aside" in out
    assert "What [bold]is[/bold] a mill?" in out
    assert "1  chosen and rejected are identical" in out
    assert f"{rows}:2" in out


def test_the_human_form_is_short_and_harmless(rows, capsys):
    run("inspect", rows)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "x" * 200 not in out
    assert "…" in out


def test_options_reach_the_reader(tmp_path, capsys):
    path = tmp_path / "stance.json"
    path.write_text(
        json.dumps([{"prompt": f"{i}?", "support": "for", "oppose": "against"} for i in range(9)])
    )
    run("inspect", str(path), "--support-ratio", "0.5", "--layout", "stance", "--limit", "2", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["num_rows"] == 2
    assert [example["chosen"][0]["content"] for example in found["examples"]] == ["for", "against"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layout", "string"], 'Did you mean "strings"'),
        (["--support-ratio", "2"], "--support-ratio"),
        (["--limit", "0"], "--limit"),
        (["--layout", "strings", "--support-ratio", "0.5"], "support_ratio has no effect"),
        (["--support-ratio", "0.5"], "support_ratio = 0.5 has no effect"),
    ],
)
def test_calls_that_are_wrong(rows, words, message):
    with pytest.raises(DataError) as caught:
        run("inspect", rows, *words)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2
