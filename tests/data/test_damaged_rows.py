"""Rows of every layout with anything at any place in them: kept or set aside, never a traceback."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layout_rows import ALL_ROWS

from palate.data import LAYOUTS, inspect_source, read_records
from palate.data.layouts import Row
from palate.data.messages import Unusable
from palate.data.structured import RepeatedKey
from palate.recipe import SourceOptions

JUNK = st.sampled_from(
    [None, True, 0, -1, 2**70, 0.5, float("nan"), "", " ", "x", "N/A", "[]", "[", "{}", "\x00", "\ud800", [],
     {}, RepeatedKey("a"), [None], [[]], [{}], {"role": "user"}, {"from": "human"}, {"text": None},
     [{"from": [], "value": {}}], [{"role": "assistant", "content": "x"}], [{"role": {}, "content": []}],
     ["x", "x"], "[[[[", {"Rating": []}]
)  # fmt: skip
ROWS = [(layout, row) for layout, rows in ALL_ROWS.items() for row in rows]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a row, from the columns down."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield from places(below, (*path, key))


def put(row: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    damaged = copy.deepcopy(row)
    holder = damaged
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return damaged


@pytest.mark.parametrize(("layout", "row"), ROWS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(ROWS)])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_anything_in_a_place_of_a_row(layout, row, data):
    path = data.draw(st.sampled_from(list(places(row))))
    damaged = put(row, path, data.draw(JUNK))
    for known in LAYOUTS.values():
        known.claims(damaged)
    try:
        json.dumps(dict(LAYOUTS[layout].convert(Row(damaged)).detail))
    except Unusable as reason:
        assert str(reason).isprintable()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_rows_in_a_file_are_accounted_for(data):
    layout, row = data.draw(st.sampled_from(ROWS))
    drawn = data.draw(st.lists(st.tuples(st.sampled_from(list(places(row))), JUNK), min_size=1, max_size=5))
    rows = [put(row, path, value) for path, value in drawn]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl")
        path.write_text("".join(json.dumps(each, default=str) + "\n" for each in rows), encoding="utf-8")
        options = SourceOptions(source=str(path), layout=layout)
        found = read_records(options)
        assert len(found.records) + len(found.set_aside) == len(rows)
        assert inspect_source(options)["num_set_aside"] == len(found.set_aside)
