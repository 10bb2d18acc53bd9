"""Files of votes in anybody's columns: every row is a vote or is set aside with its reason."""

from __future__ import annotations

import contextlib
import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.data.messages import Unusable
from palate.data.vote_columns import VoteColumns, choice_in, find_columns, parse_vote_columns
from palate.data.votes import VOTE_COLUMNS, read_votes, write_votes
from palate.errors import CallError, DataError
from palate.records import Comparison, Message, Provenance, Vote


def table(path: Path, *rows: dict[str, object]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def lines(path: Path, *rows: dict[str, object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_two_sides_and_a_choice(tmp_path) -> None:
    path = table(
        tmp_path / "anna.csv",
        {"idea": "moss", "title_a": "On moss", "title_b": "Moss!", "title_b_preferred": 1, "note": "short"},
        {"idea": "rain", "title_a": "On rain", "title_b": "Rain!", "title_b_preferred": 0, "note": ""},
        {"idea": "snow", "title_a": "On snow", "title_b": "Snow!", "title_b_preferred": "0.5", "note": ""},
    )
    found = read_votes(path)
    assert (found.layout, found.num_rows, found.num_kept, found.has_prompts) == ("two sides", 3, 3, True)
    assert [vote.preferred for vote in found.votes] == ["b", "a", "tie"]
    first = found.votes[0]
    assert (first.annotator, first.note, first.detail["task"]) == ("anna", "short", "label")
    assert first.comparison.prompt == (Message("user", "moss"),)
    assert first.comparison.completion_b == (Message("assistant", "Moss!"),)
    assert (first.comparison.provenance.source, first.comparison.provenance.line) == (path, 2)


def test_the_names_of_the_columns_name_the_models(tmp_path) -> None:
    path = table(
        tmp_path / "eval.csv",
        {"base_title": "x", "ft_title": "y", "ft_title_preferred": 1},
        {"base_title": "x2", "ft_title": "y2", "ft_title_preferred": 0},
    )
    found = read_votes(path, annotator="me")
    assert [vote.preferred for vote in found.votes] == ["b", "a"]
    assert {vote.comparison.generators for vote in found.votes} == {("base", "ft")}
    assert {(vote.annotator, vote.detail["task"]) for vote in found.votes} == {("me", "compare")}
    assert not found.has_prompts
    assert len({vote.comparison.prompt_id for vote in found.votes}) == 2  # nothing says they are one prompt


@pytest.mark.parametrize(
    ("named", "value", "expected"),
    [
        ("title_b_preferred", 1, "b"), ("title_b_preferred", 0, "a"), ("title_b_preferred", True, "b"),
        ("title_b_preferred", "FALSE", "a"), ("title_b_preferred", "1.0", "b"),
        ("title_b_preferred", 0.0, "a"),
        ("title_a_preferred", 1, "a"), ("title_a_preferred", "no", "b"), ("title_a_preferred", "b", "b"),
        ("winner", 1, "b"), ("winner", 0, "a"), ("winner", "A ", "a"), ("winner", "left", "a"),
        ("winner", "right", "b"), ("winner", "title_a", "a"), ("winner", "Title_B", "b"),
        ("winner", "tie", "tie"),
        ("winner", 0.5, "tie"), ("winner", "both_bad", "both_bad"), ("winner", "both bad", "both_bad"),
    ],
)  # fmt: skip
def test_what_a_choice_may_say(named, value, expected) -> None:
    assert choice_in({named: value}, VoteColumns("title_a", "title_b", named)) == expected


@pytest.mark.parametrize("value", [2, -1, "maybe", "", "  ", None, [], "c", "0.7", "both"])
def test_nothing_else_is_guessed_at(value) -> None:
    with pytest.raises(Unusable):
        choice_in({"winner": value}, VoteColumns("a", "b", "winner"))


@settings(deadline=None)
@given(st.text())
def test_no_text_is_an_accident(text: str) -> None:
    with contextlib.suppress(Unusable):
        assert choice_in({"winner": text}, VoteColumns("x", "y", "winner")) in ("a", "b", "tie", "both_bad")


def test_a_column_of_ones_and_twos_is_not_read_the_wrong_way_round(tmp_path) -> None:
    """Of titles 1 and 2, 1 is the first; where 2 was merely set aside, 1 would have been the second."""
    choices = ["1", "2", "1.0", "0", "0.5", "left", "true", "b"]
    rows = [
        {"prompt": f"p{n}", "title_1": "x", "title_2": "y", "choice": one} for n, one in enumerate(choices)
    ]
    columns = {"a": "title_1", "b": "title_2", "preferred": "choice"}
    found = read_votes(table(tmp_path / "choices.csv", *rows), columns=columns)
    assert [vote.preferred for vote in found.votes] == ["a", "b", "b"]  # left, true, b
    assert {row.reason for row in found.set_aside} == {
        '"choice" holds 2, too: what its numbers mean cannot be told'
    }
    rest = [row for row in rows if row["choice"] != "2"]
    kept = read_votes(table(tmp_path / "kept.csv", *rest), columns=columns).votes
    assert [vote.preferred for vote in kept] == ["b", "b", "a", "tie", "a", "b", "b"]


@pytest.mark.parametrize("annotator", ["n" * 201, "half \ud800", "nul \0"])
def test_a_name_that_no_store_takes_is_one_row_set_aside(tmp_path, annotator) -> None:
    said = {"title_a": "x", "title_b": "y", "title_b_preferred": True}
    rows = [
        {"prompt": "p1", **said, "annotator": annotator},
        {"prompt": "p2", **said, "annotator": "n" * 200},
        {"prompt": "p3", **said, "annotator": "ann", "note": "n" * 100_001},
    ]
    found = read_votes(lines(tmp_path / "named.jsonl", *rows))
    assert [vote.annotator for vote in found.votes] == ["n" * 200]
    assert [row.line for row in found.set_aside] == [1, 3]


def test_rows_in_are_rows_kept_and_rows_set_aside_with_their_lines(tmp_path) -> None:
    rows = [
        {"idea": "p", "title_a": "x", "title_b": "y", "title_b_preferred": value}
        for value in (1, 0, "?", "", "b")
    ]
    rows += [{"idea": "p", "title_a": "same", "title_b": "same", "title_b_preferred": 1}]
    rows += [{"idea": "", "title_a": "x", "title_b": "y", "title_b_preferred": 1}]
    found = read_votes(table(tmp_path / "f.csv", *rows))
    assert found.num_rows == found.num_kept + len(found.set_aside) == 7
    assert [row.line for row in found.set_aside] == [4, 5, 7, 8]
    assert "is no choice; known: 0, 1, true" in found.set_aside[0].reason
    assert found.set_aside[1].reason == '"title_b_preferred" is empty: there is no vote'
    assert found.set_aside[2].reason == "the two completions are identical"


def test_a_second_vote_on_the_same_two_is_a_repeat_whichever_stands_first(tmp_path) -> None:
    found = read_votes(
        table(
            tmp_path / "f.csv",
            {"idea": "p", "title_a": "x", "title_b": "y", "title_b_preferred": 1},
            {"idea": "p", "title_a": "y", "title_b": "x", "title_b_preferred": 1},
            {"idea": "q", "title_a": "x", "title_b": "y", "title_b_preferred": 1},
        )
    )
    assert [vote.detail["repeat"] for vote in found.votes] == [0, 1, 0]
    assert found.num_repeated == 1


def test_a_column_of_annotators(tmp_path) -> None:
    rows = [
        {"prompt": "p", "x": "1", "y": "2", "choice": choice, "who": who}
        for choice, who in (("a", "Ann"), ("b", "Ben"), ("a", ""))
    ]
    path = lines(tmp_path / "f.jsonl", *rows)
    found = read_votes(path, columns={"a": "x", "b": "y", "preferred": "choice", "annotator": "who"})
    assert [(vote.annotator, vote.detail["repeat"]) for vote in found.votes] == [("Ann", 0), ("Ben", 0)]
    assert found.set_aside[0].reason == '"who" is empty'
    with pytest.raises(CallError, match="has no effect"):
        read_votes(
            path, annotator="Cyd", columns={"a": "x", "b": "y", "preferred": "choice", "annotator": "who"}
        )


def test_messages_stay_messages(tmp_path) -> None:
    path = lines(
        tmp_path / "f.jsonl",
        {
            "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
            "answer_a": [{"role": "assistant", "content": "x"}],
            "answer_b": "y",
            "answer_b_preferred": False,
        },
    )
    (vote,) = read_votes(path).votes
    assert [message.role for message in vote.comparison.prompt] == ["system", "user"]
    assert vote.comparison.completion_a == (Message("assistant", "x"),)


def test_preference_data_are_votes_for_what_was_chosen(tmp_path) -> None:
    rows = [{"prompt": f"p{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(20)]
    found = read_votes(
        lines(tmp_path / "pairs.jsonl", *rows, {"prompt": "p", "chosen": "x", "rejected": "x"})
    )
    assert (found.num_rows, found.num_kept, len(found.set_aside)) == (21, 20, 1)
    for vote in found.votes:
        sides = {"a": vote.comparison.completion_a, "b": vote.comparison.completion_b}
        assert sides[vote.preferred][0].content.startswith("good")
    assert {vote.preferred for vote in found.votes} == {"a", "b"}  # the place says nothing


def test_keys_are_those_of_the_content(tmp_path) -> None:
    rows = [{"idea": f"p{n}", "title_a": "x", "title_b": "y", "title_b_preferred": 1} for n in range(3)]
    first = read_votes(table(tmp_path / "one.csv", *rows), annotator="me")
    moved = read_votes(table(tmp_path / "two.csv", *rows), annotator="me")
    other = read_votes(table(tmp_path / "three.csv", *rows[1:]), annotator="me")
    keys = [[vote.detail["key"] for vote in found.votes] for found in (first, moved, other)]
    assert keys[0] == keys[1]
    assert len({*keys[0], *keys[2]}) == 5


@pytest.mark.parametrize("name", ["votes.jsonl", "votes.parquet"])
def test_what_is_written_is_read_again(tmp_path, name) -> None:
    about = Comparison(
        (Message("user", "p"),),
        (Message("assistant", "x"),),
        (Message("assistant", "y"),),
        Provenance("made.jsonl", 7, {"a": {"model": "small"}, "b": {"model": "large"}, "document": "d"}),
    )
    detail = {
        "task": "compare", "kind": "vote", "repeat": 1, "left": "b", "seconds": 1.5,
        "created_at": "2026-01-01T00:00:00+00:00", "came_from": None, "key": "k1",
    }  # fmt: skip
    last_word = {**detail, "kind": "adjudicate", "key": "k2", "left": None, "seconds": None, "repeat": 0}
    votes = [Vote(about, "ann", "both_bad", "why, “so”", detail), Vote(about, "ben", "a", "", last_word)]
    assert write_votes(votes, tmp_path / name) == 2
    found = read_votes(str(tmp_path / name))
    assert (found.layout, found.set_aside) == ("votes", ())
    for before, after in zip(votes, found.votes, strict=True):
        assert (after.comparison, after.annotator, after.preferred, after.note) == (
            before.comparison, before.annotator, before.preferred, before.note
        )  # fmt: skip
        assert {name: after.detail[name] for name in detail} == before.detail


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"preferred": "left"}, '"preferred" is none of a, b, tie, both_bad'),
        ({"kind": "undo"}, '"kind" is none of vote, adjudicate'),
        ({"left": "c"}, '"left" is none of a, b, None'),
        ({"annotator": ""}, '"annotator" is no text'),
        ({"annotator": 7}, '"annotator" is no text'),
        ({"repeat": 0.5}, '"repeat" is no count'),
        ({"repeat": -1}, '"repeat" is no count'),
        ({"seconds": -1}, '"seconds" is negative'),
        ({"seconds": "long"}, '"seconds" is text that is no number'),
        ({"key": ""}, '"key" is no text'),
        ({"repeat": "x"}, '"repeat" is text that is no number'),
        ({"completion_b": [{"role": "assistant", "content": "x"}]}, "the two completions are identical"),
    ],
)
def test_a_damaged_row_of_our_own_is_set_aside(tmp_path, change, reason) -> None:
    row = dict.fromkeys(VOTE_COLUMNS) | {
        "prompt": [{"role": "user", "content": "p"}],
        "completion_a": [{"role": "assistant", "content": "x"}],
        "completion_b": [{"role": "assistant", "content": "y"}],
        "task": "label", "annotator": "ann", "kind": "vote", "preferred": "a", "repeat": 0, "key": "k",
    }  # fmt: skip
    assert len(read_votes(lines(tmp_path / "good.jsonl", row)).votes) == 1
    found = read_votes(lines(tmp_path / "bad.jsonl", {**row, **change}))
    assert [row.reason for row in found.set_aside] == [reason]
    without = {name: value for name, value in row.items() if name not in change}
    read_votes(lines(tmp_path / "short.jsonl", row, without))  # what is missing is no accident either


def test_columns_that_are_not_there_are_named(tmp_path) -> None:
    path = table(tmp_path / "f.csv", {"idea": "p", "title_a": "x", "title_b": "y", "title_b_preferred": 1})
    with pytest.raises(DataError, match='Did you mean "title_a"'):
        read_votes(path, columns={"a": "titlea", "b": "title_b", "preferred": "title_b_preferred"})
    with pytest.raises(DataError, match="cannot be told which columns"):
        find_columns(["x", "y", "z"], {"a": "x"}, "f.csv")
    with pytest.raises(DataError, match="these rows are no votes"):
        read_votes(table(tmp_path / "g.csv", {"x": 1, "y": 2}))


def test_a_given_column_decides_between_several(tmp_path) -> None:
    seen = ["t_a", "t_b", "t_c", "t_b_preferred"]
    assert find_columns(seen, {}, "f") is None  # t_b against t_a, or against t_c?
    assert find_columns(seen, {"a": "t_a"}, "f") == VoteColumns("t_a", "t_b", "t_b_preferred")


@pytest.mark.parametrize("text", ["a", "a=", "c=x", "a=x,a=y", "left=x"])
def test_columns_are_typed_as_name_and_column(text) -> None:
    with pytest.raises(DataError):
        parse_vote_columns(text)
    assert parse_vote_columns("a=x, b=y") == {"a": "x", "b": "y"}


def test_an_empty_file_says_so(tmp_path) -> None:
    (tmp_path / "f.jsonl").write_text("")
    with pytest.raises(DataError, match="there are no rows"):
        read_votes(str(tmp_path / "f.jsonl"))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MESSAGE = [{"role": "user", "content": "p"}]


TWO_SIDES = ("prompt", "x_a", "x_b", "x_b_preferred", "annotator", "note")


def rows_of(columns: tuple[str, ...]) -> st.SearchStrategy[list[dict[str, object]]]:
    return st.lists(st.dictionaries(st.sampled_from(columns), ANYTHING), max_size=5)


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.just("two sides"), rows_of(TWO_SIDES)) | st.tuples(st.just("votes"), rows_of(VOTE_COLUMNS))
)
def test_no_row_is_an_accident(tmp_path_factory, file: tuple[str, list[dict[str, object]]]) -> None:
    """Whatever stands in a row, it is a vote or is set aside; and a vote can be written and read again."""
    layout, rows = file
    own = {
        "completion_a": MESSAGE,
        "completion_b": MESSAGE,
        "annotator": "x",
        "kind": "vote",
        "preferred": "a",
    }
    two = {"x_a": "1", "x_b": "2", "x_b_preferred": 1, "annotator": "x"}
    folder = tmp_path_factory.mktemp("rows")
    good = {"prompt": MESSAGE, **(own if layout == "votes" else two)}
    found = read_votes(lines(folder / "f.jsonl", good, *rows))
    assert (found.layout, found.num_rows) == (layout, len(rows) + 1)
    assert found.num_kept + len(found.set_aside) == found.num_rows
    write_votes(found.votes, folder / "again.jsonl")
    if found.votes:
        again = read_votes(str(folder / "again.jsonl"))
        assert [vote.preferred for vote in again.votes] == [vote.preferred for vote in found.votes]
