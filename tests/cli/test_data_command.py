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


STRENGTH = {"context": "1?", "response1": "yes", "response2": "no"}


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
    counts = {"num_rows", "num_kept", "num_set_aside", "counts"}
    assert set(found) == {"layout", "kind", "examples", "set_aside"} | counts
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
    assert "1 distinct prompts" in out
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


def shown(tmp_path, capsys, rows, *words):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    run("inspect", str(path), *words)
    return capsys.readouterr().out


def test_labels_are_shown_with_what_they_say(tmp_path, capsys):
    rows = [{"prompt": f"{i}?", "completion": f"So {i}.", "label": i % 2, "w": i + 1} for i in range(5)]
    out = shown(tmp_path, capsys, rows, "--weight-column", "w")
    assert "5 rows = 5 labels + 0 set aside" in out
    assert "2 desirable, 3 undesirable" in out
    assert "weight 1 to 5, median 3" in out
    assert "undesirable  So 0." in out
    assert "  desirable  So 1." in out


def test_rankings_are_shown_best_first(tmp_path, capsys):
    rows = [
        {"prompt": "1?", "completions": ["c", "a", "b"], "ranks": [3, 1, 2]},
        {"prompt": "2?", "completions": ["d", "e", "f"], "ranks": [1, 1, 2]},
    ]
    out = shown(tmp_path, capsys, rows)
    assert "layout ranking" in out
    assert "2 rankings of 3 completions" in out
    assert "as pairs 5; comparisons left out: 1 tied, 0 closer than min_gap" in out
    assert out.index("1  a\n") < out.index("2  b\n") < out.index("3  c\n")


def test_scores_that_are_too_close_are_counted(tmp_path, capsys):
    rows = [{"prompt": "1?", "completions": ["a", "b", "a", "c"], "scores": [9, 5, 9, 4.5]}]
    out = shown(tmp_path, capsys, rows, "--min-gap", "1", "--pair-rule", "neighbours")
    assert "as pairs 1; comparisons left out: 0 tied, 1 closer than min_gap" in out
    assert "left out: 1 repeated completions" in out


def test_gaps_and_the_margins_they_become_are_shown(tmp_path, capsys):
    rows = [STRENGTH | {"overall_preference": number} for number in (-3, 1)]
    out = shown(tmp_path, capsys, rows, "--score-margin")
    assert "gap 1 to 3, median 2\nmargin 1 to 3, median 2" in out


def test_scores_that_contradict_their_pairs_are_counted(tmp_path, capsys):
    pair = {"prompt": "1?", "chosen": "yes", "rejected": "no", "score_rejected": 5}
    rows = [pair | {"score_chosen": score} for score in (3, 5, 8)]
    out = shown(tmp_path, capsys, rows)
    assert "gap -2 to 3, median 0\n1 pairs have scores that say that rejected is the better one\n" in out
    assert "rejected is the better one" not in shown(tmp_path, capsys, rows[1:])


def test_columns_are_named_where_no_layout_is_known(tmp_path, capsys):
    rows = [{"q": "1?", "answers": {"good": "yes", "bad": "no"}}]
    out = shown(tmp_path, capsys, rows, "--columns", "prompt=q,chosen=answers.good,rejected=answers.bad")
    assert "1 rows = 1 pairs + 0 set aside" in out


def test_margins_are_shown(tmp_path, capsys):
    rows = [{"prompt": "1?", "chosen": "yes", "rejected": "no", "gap": g} for g in (0.25, 3)]
    assert "margin 0.25 to 3, median 1.625" in shown(tmp_path, capsys, rows, "--margin-column", "gap")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--margin-column", "gap"], 'margin_column = "gap": no row has this column'),
        (["--weight-column", "choosen"], 'Did you mean "chosen"'),
        (["--layout", "labels", "--margin-column", "gap"], 'no effect with layout "labels"'),
        (["--layout", "string"], 'Did you mean "strings"'),
        (["--support-ratio", "2"], "--support-ratio"),
        (["--columns", "prompt=promt,chosen=chosen,rejected=rejected"], 'Did you mean "prompt"'),
        (["--columns", "prompt"], '--columns: "prompt" is no name=column'),
        (["--columns", "prompt=prompt"], "--columns: columns needs chosen and rejected"),
        (["--columns", "prompt=a,chosen=b,rejected=c", "--layout", "strings"], "drop one of the two"),
        (["--pair-rule", "some"], "--pair-rule: Input should be"),
        (["--pair-rule", "best_worst"], 'pair_rule = "best_worst" has no effect'),
        (["--min-gap", "1"], "min_gap = 1 has no effect"),
        (["--min-gap", "0"], "--min-gap"),
        (["--score-margin"], "score_margin has no effect"),
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
