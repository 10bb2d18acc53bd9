"""Literals inside cells: read, never run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.data.structured import MAX_CELL_CHARACTERS, RepeatedKey, describe, parse_cell

messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.text()}), min_size=1
)


@given(messages)
def test_python_literals_come_back(value):
    assert parse_cell(repr(value)) == value


@given(messages)
def test_json_comes_back(value):
    assert parse_cell(json.dumps(value)) == value
    assert parse_cell(json.dumps(value, ensure_ascii=False)) == value


def test_json_escapes_are_jsons():
    # Python would keep the backslash of \/ and leave two halves of the surrogate pair.
    assert parse_cell(r'["a\/b \ud83c\udf3e"]') == ["a/b 🌾"]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').mkdir('{here}/ran')",
        "[open('{here}/ran', 'w')]",
        "[x for x in ()]",
        "f'{{1}}'",
        "array([1])",
        "[{{'role': 'user'}}\n {{'role': 'user'}}]",
        "'half",
        "",
        "nan_is_not_a_literal",
        "{{[]: 1}}",
        "\x00",
        "\ud800",
    ],
)
def test_anything_else_is_refused_and_nothing_runs(tmp_path, text):
    with pytest.raises(ValueError, match="neither JSON nor a Python literal"):
        parse_cell(text.format(here=tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "-" * 200_000 + "1",
        "1+" * 200_000 + "1",
        "not " * 200_000 + "1",
        "a" + "[0]" * 200_000,
        "{0:" * 200_000,
        "x" * (MAX_CELL_CHARACTERS + 1),
    ],
    ids=["brackets", "minus", "plus", "not", "index", "dict", "long"],
)
def test_cells_made_to_break_the_parser(text):
    with pytest.raises(ValueError, match=r"neither|longer than"):
        parse_cell(text)


def test_a_key_said_twice_in_either_notation():
    assert parse_cell('{"role": 1, "role": 2}') == RepeatedKey("role")
    with pytest.raises(ValueError, match='the key "role" twice'):
        parse_cell("[{'role': 'user', 'role': 'assistant'}]")
    assert parse_cell("{'role': 1, 'content': 1}") == {"role": 1, "content": 1}


def test_a_stray_backslash_warns_nobody(recwarn):
    assert parse_cell(r"['\d']") == ["\\d"]
    assert list(recwarn) == []


def test_values_are_described_in_plain_words():
    values = [None, True, 1, 0.5, "x", [], (), {}, b"x", RepeatedKey("a\x1b")]
    assert [describe(value) for value in values] == [
        "null",
        "a truth value",
        "a number",
        "a number",
        "text",
        "a list",
        "a list",
        "an object",
        "of type bytes",
        r'an object with the key "a\x1b" twice',
    ]
