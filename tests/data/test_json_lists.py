"""A list parsed element by element is the list parsed at once, wherever the text was cut while reading."""

from __future__ import annotations

import io
import json
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.data.files import json_lists
from palate.data.files.json_lists import list_items
from palate.errors import DataError

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_white = st.text(" \n\t\r", max_size=4)


def items(text: str, chunk: int) -> list:
    with mock.patch.object(json_lists, "_CHUNK_CHARACTERS", chunk):
        return list(list_items(io.StringIO(text, newline="\n"), "rows.json"))


@settings(max_examples=300, deadline=None)
@given(st.lists(_json, max_size=6), _white, st.booleans(), st.integers(1, 40))
def test_a_list_is_the_same_in_pieces(rows, white, escaped, chunk):
    parts = [json.dumps(row, ensure_ascii=escaped, indent=1 if len(white) > 2 else None) for row in rows]
    text = white + "[" + white + f"{white},{white}".join(parts) + white + "]" + white
    assert items(text, chunk) == rows


@settings(max_examples=300, deadline=None)
@given(
    st.lists(_json, min_size=1, max_size=4),
    st.integers(0, 200),
    st.sampled_from('x"[]{},:\\1 '),
    st.integers(1, 40),
)
def test_what_is_wrong_is_wrong_in_pieces_too(rows, at, other, chunk):
    text = json.dumps(rows)
    text = text[: at % len(text)] + other + text[at % len(text) :]
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, list):
        assert len(items(text, chunk)) == len(whole)
    else:
        with pytest.raises(DataError):
            items(text, chunk)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('[\n{"a": 1},\n{"a": }\n]', 3, "expecting value"),
        ("[1,\n\n2", 3, "expecting ',' delimiter"),
        ("[1,\n]", 2, "expecting value"),
        ("[1]\n\n2", 3, "extra data"),
        ('[1,\n"open', 2, "unterminated string starting at"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_the_line_is_named(text, line, reason, chunk):
    with pytest.raises(DataError) as caught:
        items(text, chunk)
    assert (caught.value.where, caught.value.what) == (f"rows.json:{line}", f"not JSON: {reason}")


def test_rows_before_the_break_come_out_first():
    found = list_items(io.StringIO("[1, 2, oops]"), "rows.json")
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(DataError):
        next(found)


def test_a_row_that_is_too_long_is_an_error():
    with (
        mock.patch.object(json_lists, "MAX_ROW_CHARACTERS", 100),
        pytest.raises(DataError, match="row 2 is longer than 100 characters") as caught,
    ):
        items('[1,\n"' + "x" * 300 + '"]', 20)
    assert caught.value.where == "rows.json:2"
