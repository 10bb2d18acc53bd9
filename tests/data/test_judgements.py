"""Tables of judgements: whose side a score is on, in every layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from palate.data.judgements import read_judgements
from palate.data.verdicts import write_verdicts
from palate.errors import DataError
from palate.records import Comparison, Message, Provenance, Verdict


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def alpaca(
    preference: float | None, first: str = "base", second: str = "mine", **more: Any
) -> dict[str, Any]:
    return {"generator_1": first, "generator_2": second, "preference": preference, **more}


def test_alpaca_preferences_run_from_one_to_two(tmp_path: Path) -> None:
    """1 is the baseline's, 2 the model's, 1.5 and an old 0 a tie, null is missing, 3 is nothing."""
    rows = [alpaca(p, instruction=f"q{n}") for n, p in enumerate([1, 2, 1.5, 0, None, 1.25, 3])]
    table = read_judgements(write(tmp_path / "a.jsonl", rows))
    assert [row.score for row in table.rows] == [0.0, 1.0, 0.5, 0.5, None, 0.25]
    assert (table.of, table.against, table.layout) == ("mine", ("base",), "alpaca_eval")
    assert [aside.line for aside in table.set_aside] == [7]
    assert "between 1 and 2" in table.set_aside[0].reason


def test_lengths_are_those_stated_or_those_of_the_texts(tmp_path: Path) -> None:
    stated = alpaca(2, chars_1=10, chars_2=30)
    written = alpaca(2, output_1="four", output_2="seven77")
    table = read_judgements(write(tmp_path / "a.jsonl", [stated, written, alpaca(1)]))
    lengths = [(row.own_length, row.other_length) for row in table.rows]
    assert lengths == [(30.0, 10.0), (7.0, 4.0), (None, None)]
    assert table.rows[1].own_text == "seven77"


def test_the_other_side_sees_it_the_other_way_round(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [alpaca(1.8, output_1="x", output_2="yy")])
    (row,) = read_judgements(path, of="base").rows
    assert row.score == pytest.approx(0.2)
    assert (row.own_text, row.other_text) == ("x", "yy")
    assert (row.own_length, row.other_length) == (1.0, 2.0)


def test_one_instruction_is_one_prompt(tmp_path: Path) -> None:
    rows = [alpaca(2, instruction="same"), alpaca(1, instruction="same"), alpaca(1, instruction="other")]
    prompts = [row.prompt for row in read_judgements(write(tmp_path / "a.jsonl", rows)).rows]
    assert prompts[0] == prompts[1] != prompts[2]


def verdict(n: int, preferred: Any, a: str, b: str, judge: str = "j") -> Verdict:
    detail = {"a": {"model": a}, "b": {"model": b}}
    prompt = (Message("user", f"q{n}"),)
    x, y = ((Message("assistant", f"{side} {n}"),) for side in (a, b))
    return Verdict(Comparison(prompt, x, y, Provenance("p", n, detail)), judge, preferred)


def test_verdicts_are_turned_to_the_models_side_wherever_it_stood(tmp_path: Path) -> None:
    """mine stands on side a, then b, then a; it wins, wins, ties; one verdict is missing."""
    path = tmp_path / "v.jsonl"
    given = [
        verdict(1, "a", "mine", "base"), verdict(2, "b", "base", "mine"),
        verdict(3, "tie", "mine", "base"), verdict(4, None, "base", "mine"),
    ]  # fmt: skip
    write_verdicts(given, path)
    table = read_judgements(str(path), of="mine")
    assert [row.score for row in table.rows] == [1.0, 1.0, 0.5, None]
    assert [row.own_text for row in table.rows] == ["mine 1", "mine 2", "mine 3", "mine 4"]
    assert table.positions_known
    assert read_judgements(str(path), against="base").of == "mine"
    with pytest.raises(DataError, match="it is open whose win rate is meant"):
        read_judgements(str(path))


def test_of_three_models_only_the_asked_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    given = [verdict(1, "a", "x", "y"), verdict(2, "a", "y", "z"), verdict(3, "b", "z", "x")]
    write_verdicts(given, path)
    table = read_judgements(str(path), of="x")
    assert [row.score for row in table.rows] == [1.0, 1.0]
    assert table.num_other_models == 1
    assert table.against == ("y", "z")
    assert len(read_judgements(str(path), of="x", against="z").rows) == 1


def test_verdicts_of_two_judges_are_not_counted_twice(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    write_verdicts([verdict(1, "a", "x", "y", "one"), verdict(1, "b", "x", "y", "two")], path)
    with pytest.raises(DataError, match="verdicts of 2 judges"):
        read_judgements(str(path), of="x")
    assert [row.score for row in read_judgements(str(path), of="x", judge="two").rows] == [0.0]
    with pytest.raises(DataError, match='Did you mean "two"'):
        read_judgements(str(path), of="x", judge="tow")


def test_votes_by_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("base_title,ft_title,ft_title_preferred\nA,B,1\nC,D,0\nE,F,maybe\n", encoding="utf-8")
    table = read_judgements(str(path))
    assert (table.of, table.against) == ("ft", ("base",))
    assert [row.score for row in table.rows] == [1.0, 0.0]
    assert [row.own_text for row in table.rows] == ["B", "D"]
    assert len(table.set_aside) == 1


def test_sides_without_names_are_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("idea,title_a,title_b,title_b_preferred\nq,A,B,1\n", encoding="utf-8")
    table = read_judgements(str(path))
    assert (table.of, table.against, table.names_known) == ("b", ("a",), False)


@pytest.mark.parametrize(
    ("of", "what"), [("nobody", "no such model"), ("mien", 'Did you mean "mine"'), ("base", "against itself")]
)
def test_a_model_that_is_not_there(of: str, what: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [alpaca(2)])
    with pytest.raises(DataError) as raised:
        read_judgements(path, of=of, against="base" if of == "base" else None)
    assert what in str(raised.value)


def test_no_table_of_judgements(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no table of judgements"):
        read_judgements(write(tmp_path / "a.jsonl", [{"chosen": "x", "rejected": "y"}]))
    with pytest.raises(DataError, match="there are no rows"):
        read_judgements(write(tmp_path / "b.jsonl", []))
