"""Rows in = records + rows set aside, whatever the rows are."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_files import encode

from palate.data import LAYOUTS, RecordSet, read_records
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import Message, SetAside

ROW = {"prompt": "1?", "chosen": "yes", "rejected": "no"}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


def read(path, **options):
    prompt_system = options.pop("system", None)
    return read_records(SourceOptions(source=path, **options), system=prompt_system)


def test_a_pair_knows_where_it_came_from(write):
    path = write("rows.csv", 'prompt,chosen,rejected\n"two\nlines",yes,no\n2?,yes,no\n')
    found = read(path)
    assert [(pair.provenance.source, pair.provenance.line) for pair in found.records] == [
        (path, 2),
        (path, 4),
    ]
    assert (found.layout, found.source, found.num_rows) == ("strings", path, 2)


def test_a_row_set_aside_is_found_again_by_its_place(write):
    path = write("rows.jsonl", json.dumps(ROW) + "\n\nnonsense\n" + json.dumps(ROW | {"chosen": None}) + "\n")
    found = read(path)
    assert found.num_rows == 3
    assert [(row.place, row.reason, row.excerpt) for row in found.set_aside] == [
        (f"{path}:3", "not JSON: expecting value", "nonsense "),
        (f"{path}:4", '"chosen" is null', "1? | no"),
    ]


def test_lost_rows_cannot_be_constructed():
    with pytest.raises(ValueError, match="rows were lost"):
        RecordSet((), (SetAside("a", 1, "why"),), "strings", "a", 2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chosen": "no"}, "chosen and rejected are identical"),
        ({"prompt": " "}, '"prompt" is empty'),
        ({"chosen": [user("1?")]}, "the chosen completion is empty: it only repeats the prompt"),
        (
            {"chosen": [assistant("x"), user("y")]},
            "the chosen completion ends with a user turn, not with the assistant's",
        ),
        ({"rejected": [assistant("")]}, "the rejected completion is empty"),
        ({"rejected": [assistant("x"), user("y"), assistant(" ")]}, "the rejected completion is empty"),
        ({"prompt": [system("Be kind.")]}, "there is no prompt"),
        ({"prompt": [user("  ")]}, "the prompt is empty"),
        (
            {"prompt": [user("x"), assistant("y")]},
            "the prompt ends with a turn of assistant, there is nothing to answer",
        ),
        (
            {"prompt": [user("x"), system("y")]},
            "the prompt ends with a turn of system, there is nothing to answer",
        ),
    ],
)
def test_pairs_nothing_can_be_learned_from(write, change, reason):
    found = read(write("rows.jsonl", [ROW, ROW | change]), layout="mixed")
    assert [(row.line, row.reason) for row in found.set_aside] == [(2, reason)]
    assert len(found.records) == 1


def test_a_set_of_nothing_but_bad_rows_is_no_error_when_its_layout_is_named(write):
    found = read(write("rows.jsonl", [{"a": 1}]), layout="strings")
    assert (len(found.records), len(found.set_aside)) == (0, 1)


# The system message


def test_a_system_message_goes_before_every_prompt_without_one(write):
    rows = [
        ROW,
        ROW | {"prompt": [system("Be kind."), user("1?")]},
        ROW | {"prompt": [system(" "), user("1?")]},
        ROW
        | {
            "chosen": [system("Be old."), user("1?"), assistant("yes")],
            "rejected": [system("Be old."), user("1?"), assistant("no")],
        },
    ]
    found = read(write("rows.jsonl", rows), system="Be brief.")
    assert [pair.prompt for pair in found.records] == [
        (Message("system", text), Message("user", "1?"))
        for text in ("Be brief.", "Be kind.", "Be brief.", "Be old.")
    ]


def test_without_one_prompts_stay_as_they_are(write):
    assert read(write("rows.jsonl", [ROW])).records[0].prompt == (Message("user", "1?"),)


@pytest.mark.parametrize("column", ["prompt", "question"])
def test_a_system_column_is_never_overlooked(write, column):
    row = {column: "1?", "chosen": "yes", "rejected": "no"}
    rows = [
        row | {"system": "Be kind."},
        row | {"system": ""},
        row | {"system": None},
        row,
        row | {"system": 3},
    ]
    found = read(write("rows.jsonl", rows), system="Be brief.")
    assert [pair.prompt[0].content for pair in found.records] == ["Be kind.", *["Be brief."] * 3]
    assert [row.reason for row in found.set_aside] == ['"system" is a number, text was expected']


def test_two_different_system_messages_are_not_chosen_between(write):
    row = ROW | {"prompt": [system("Be kind."), user("1?")]}
    found = read(write("rows.jsonl", [row | {"system": "Be rude."}, row | {"system": "Be kind."}]))
    assert [(row.line, row.reason) for row in found.set_aside] == [
        (1, '"system" says something else than the system message in the row')
    ]
    assert found.records[0].prompt == (Message("system", "Be kind."), Message("user", "1?"))


# Options


def test_limit_reads_the_first_rows(write):
    rows = [ROW | {"prompt": f"{i}?"} for i in range(9)]
    found = read(write("rows.csv", rows), limit=4)
    assert [pair.prompt[0].content for pair in found.records] == ["0?", "1?", "2?", "3?"]
    assert found.num_rows == 4


def test_support_ratio_for_another_layout_is_an_error(write):
    with pytest.raises(
        DataError, match=r"support_ratio = 0.5 has no effect: the layout of these rows is strings"
    ):
        read(write("rows.jsonl", [ROW]), support_ratio=0.5)


@pytest.mark.parametrize("option", ["split", "revision"])
def test_hub_options_for_a_file_are_an_error(write, option):
    with pytest.raises(DataError, match=f'{option} = "test" has no effect on a file'):
        read(write("rows.jsonl", [ROW]), **{option: "test"})


@pytest.mark.parametrize("source", ["", "  ", "playground"])
def test_sources_that_name_no_rows(source):
    with pytest.raises(DataError):
        read(source)


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.csv", "rows.csv.gz"])
def test_no_rows_at_all(write, name):
    for text in ("", "[]", "prompt,chosen,rejected\n"):
        if name.startswith("rows.csv") == text.startswith("prompt") or not text:
            with pytest.raises(DataError):
                read(write(name, text.encode()))


# Anything at all

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner)
    ),
    max_leaves=8,
)
_message = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system", "tool", "x"]),
        "content": st.text(max_size=9) | st.none(),
    }
)
_value = _json | st.lists(_message, max_size=4) | st.lists(_message, max_size=4).map(repr)
_columns = ["prompt", "chosen", "rejected", "question", "system", "support", "oppose"]
_row = st.dictionaries(st.sampled_from(_columns), _value) | _json


@settings(max_examples=200, deadline=None)
@given(st.lists(_row, min_size=1, max_size=8), st.sampled_from(sorted(LAYOUTS)))
def test_any_rows_are_kept_or_set_aside(rows, layout):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl")
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found = read(str(path), layout=layout)
    assert found.num_rows == len(rows)
    assert sorted(
        [pair.provenance.line for pair in found.records] + [row.line for row in found.set_aside]
    ) == list(range(1, len(rows) + 1))
    for pair in found.records:
        assert pair.chosen != pair.rejected
        assert pair.prompt[-1].role in ("user", "tool")
        for completion in (pair.chosen, pair.rejected):
            assert completion[0].role == completion[-1].role == "assistant"
            assert all(m.content.encode() and m.content.strip() for m in completion if m.role == "assistant")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["json", "jsonl", "csv", "parquet", "csv.gz"]))
def test_any_bytes_end_in_rows_or_a_clear_error(content, suffix):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"rows.{suffix}")
        path.write_bytes(content)
        try:
            found = read(str(path), layout="mixed")
        except DataError as error:
            assert str(path) in str(error)
        else:
            assert found.num_rows > 0


_text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1).filter(
    lambda text: text.strip()
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(_text, _text, _text), min_size=1, max_size=5),
    st.sampled_from(["json", "jsonl", "csv", "parquet"]),
)
def test_written_pairs_come_back_to_the_last_character(tmp_path_factory, rows, suffix):
    rows = [{"prompt": p, "chosen": c + "1", "rejected": r + "2"} for p, c, r in rows]
    path = tmp_path_factory.mktemp("rows") / f"rows.{suffix}"
    path.write_bytes(encode(path.name, rows))
    found = read(str(path), layout="strings")
    assert [(p.prompt[0].content, p.chosen[0].content, p.rejected[0].content) for p in found.records] == [
        tuple(row.values()) for row in rows
    ]
