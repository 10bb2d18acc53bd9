"""Columns that the recipe names, for rows of no known layout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from said import dicts, said

from palate.data import read_records
from palate.data.columns import mapped_fields, parse_columns
from palate.errors import DataError
from palate.recipe import ColumnOptions, SourceOptions

ROW = {"q": "1?", "good": "yes", "bad": "no", "prompt": "not this", "label": 3}
COLUMNS = {"prompt": "q", "chosen": "good", "rejected": "bad"}


def read(path, columns, **options):
    return read_records(SourceOptions(source=path, columns=columns, **options))


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_pairs_from_any_columns_in_any_format(write, suffix):
    found = read(write(f"rows.{suffix}", [ROW]), COLUMNS)
    (pair,) = found.records
    assert (found.layout, found.kind) == ("strings", "pairs")
    assert (pair.prompt, pair.chosen, pair.rejected) == (said("u: 1?"), said("a: yes"), said("a: no"))


def test_messages_and_text_side_by_side(write):
    found = read(write("rows.json", [ROW | {"q": dicts("u: 1?")}]), COLUMNS)
    assert (found.layout, found.records[0].prompt) == ("mixed", said("u: 1?"))


def test_paths_reach_into_objects_lists_and_cells(write):
    row = {
        "input": {"messages": dicts("u: 1?")},
        "answers": [{"text": "yes"}, {"text": "no"}],
        "about": '{"system": "Be brief."}',
    }
    columns = {
        "prompt": "input.messages",
        "chosen": "answers.0.text",
        "rejected": "answers.1.text",
        "system": "about.system",
    }
    (pair,) = read(write("rows.json", [row]), columns).records
    assert (pair.prompt, pair.chosen) == (said("s: Be brief.", "u: 1?"), said("a: yes"))


def test_a_column_whose_name_has_a_dot_goes_first():
    options = ColumnOptions(prompt="a.b", chosen="c.d.e", rejected="x")
    row = {"a.b": "whole", "a": {"b": "below"}, "c.d": {"e": "longest"}, "c": {"d": {"e": "shortest"}}}
    assert mapped_fields(row, options) == {"prompt": "whole", "chosen": "longest"}


def test_dialogues_with_the_prompt_inside_need_no_prompt(write):
    row = {"good": dicts("u: 1?", "a: yes"), "bad": dicts("u: 1?", "a: no")}
    found = read(write("rows.json", [row]), {"chosen": "good", "rejected": "bad"})
    assert (found.layout, found.records[0].prompt) == ("implicit", said("u: 1?"))


def test_labels_and_rankings(write):
    row = {"q": "1?", "text": "yes", "thumb": "good", "all": ["no", "yes"], "points": [1, 2]}
    path = write("rows.json", [row])
    found = read(path, {"prompt": "q", "completion": "text", "label": "thumb"})
    assert (found.layout, found.records[0].desirable) == ("labels", True)
    found = read(path, {"prompt": "q", "completions": "all", "scores": "points"})
    assert (found.layout, found.records[0].completions[0]) == ("ranking", said("a: yes"))
    found = read(path, {"prompt": "q", "completions": "all", "ranks": "points"})
    assert found.records[0].completions[0] == said("a: no")


def test_a_system_column_that_is_not_named_is_not_read(write):
    path = write("rows.json", [ROW | {"system": "Be kind.", "role": "Be brief."}])
    assert read(path, COLUMNS).records[0].prompt == said("u: 1?")
    assert read(path, COLUMNS | {"system": "role"}).records[0].prompt == said("s: Be brief.", "u: 1?")


def test_margins_and_weights_are_columns_of_the_file(write):
    path = write("rows.json", [ROW | {"gap": 2, "w": 3}])
    (pair,) = read(path, COLUMNS, margin_column="gap", weight_column="w").records
    assert (pair.margin, pair.weight) == (2, 3)


def test_a_row_without_the_column_is_set_aside_with_what_lacks(write):
    found = read(write("rows.json", [ROW, {"q": "1?", "good": "yes"}]), COLUMNS)
    assert [(row.line, row.reason) for row in found.set_aside] == [(2, '"rejected" is missing')]


def test_columns_that_hold_something_else_say_so_row_by_row(write):
    found = read(write("rows.json", [ROW | {"good": 3}]), COLUMNS)
    assert found.set_aside[0].reason == '"chosen" is a number, text or a list of messages was expected'
    found = read(write("rows.json", [ROW | {"good": [{"x": 1}]}]), {"prompt": "q", "completions": "good"})
    assert "fewer than two completions" in found.set_aside[0].reason


@pytest.mark.parametrize(
    ("path", "meant"), [("god", ' Did you mean "good"?'), ("info.texts", ' Did you mean "info.text"?')]
)
def test_a_column_in_no_row_is_an_error_that_names_what_could_be_meant(write, path, meant):
    with pytest.raises(DataError) as caught:
        read(write("rows.json", [ROW | {"info": {"text": "x"}}]), COLUMNS | {"chosen": path})
    assert caught.value.what == f'columns.chosen = "{path}": no row has this column.{meant}'
    assert caught.value.why == "columns seen: q, good, bad, prompt, label, info"


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({}, "columns needs chosen and rejected, or completion and label, or completions"),
        ({"prompt": "q"}, "columns needs chosen and rejected"),
        ({"prompt": "q", "chosen": "a"}, "columns lacks rejected"),
        ({"completion": "a"}, "columns lacks label and prompt"),
        ({"completion": "a", "label": "b"}, "columns lacks prompt"),
        ({"prompt": "q", "scores": "s"}, "columns lacks completions"),
        ({"prompt": "q", "completions": "a", "ranks": "b", "scores": "c"}, "each gives the order, drop one"),
        ({"prompt": "q", "chosen": "a", "label": "b"}, "names parts of several records: chosen, label"),
        ({"prompt": "q", "chosen": "", "rejected": "b"}, "at least 1 character"),
        ({"promt": "q"}, "Extra inputs are not permitted"),
    ],
)
def test_columns_that_make_no_record(columns, reason):
    with pytest.raises(ValidationError) as caught:
        SourceOptions(columns=columns)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"layout": "strings"}, 'columns say what layout = "strings" would say: drop one of the two'),
        ({"support_ratio": 0.5}, "support_ratio has no effect with columns"),
        ({"pair_rule": "neighbours"}, "pair_rule has no effect with columns"),
    ],
)
def test_options_that_do_not_go_with_columns(options, reason):
    with pytest.raises(ValidationError) as caught:
        SourceOptions(columns=COLUMNS, **options)
    assert reason in str(caught.value)


def test_columns_as_they_are_typed():
    assert parse_columns("prompt=q, chosen=a.b ,rejected=c=d") == {
        "prompt": "q",
        "chosen": "a.b",
        "rejected": "c=d",
    }


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", '"" is no name=column'),
        ("prompt", '"prompt" is no name=column'),
        ("prompt=", '"prompt=" is no name=column'),
        ("promt=q", '"promt" is nothing a column can be read as. Did you mean "prompt"?'),
        ("prompt=q,prompt=r", '"prompt" is named twice'),
    ],
)
def test_columns_that_are_typed_wrong(text, what):
    with pytest.raises(DataError) as caught:
        parse_columns(text)
    assert (caught.value.what, caught.value.where) == (what, "--columns")


_json = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab01."), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "a.b", "0"]), _json), st.text("ab01.", min_size=1))
def test_any_path_into_anything_is_a_value_or_nothing(row, path):
    options = ColumnOptions(prompt=path, chosen="x", rejected="y")
    assert set(mapped_fields(row, options)) <= {"prompt"}
