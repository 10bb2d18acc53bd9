"""Columns of margins and weights: read for every row, or the row is set aside."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from palate.data import read_records
from palate.errors import DataError
from palate.recipe import SourceOptions

PAIR = {"prompt": "1?", "chosen": "yes", "rejected": "no"}
LABEL = {"prompt": "1?", "completion": "yes", "label": True}


def read(path, **options):
    return read_records(SourceOptions(source=path, **options))


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_each_pair_has_its_own(write, suffix):
    rows = [PAIR | {"gap": 0.0, "w": 2.0}, PAIR | {"gap": 1.5, "w": 0.25}]
    found = read(write(f"rows.{suffix}", rows), margin_column="gap", weight_column="w")
    assert [(pair.margin, pair.weight) for pair in found.records] == [(0.0, 2.0), (1.5, 0.25)]


def test_columns_that_nobody_names_are_not_read(write):
    (pair,) = read(write("rows.json", [PAIR | {"margin": 3, "weight": 9}])).records
    assert (pair.margin, pair.weight) == (None, 1.0)


def test_margin_and_weight_are_no_part_of_the_content(write):
    path = write("rows.json", [PAIR | {"w": 2.0, "gap": 1}])
    ids = {read(path, **o).records[0].id for o in ({}, {"weight_column": "w"}, {"margin_column": "gap"})}
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-1, '"gap" is negative: this margin says that rejected is the better one'),
        (None, '"gap" is null'),
        ("big", '"gap" is text that is no number'),
        (float("inf"), '"gap" is not finite'),
        (False, '"gap" is a truth value, a number was expected'),
    ],
)
def test_a_margin_that_is_none_sets_its_row_aside(write, value, reason):
    found = read(write("rows.json", [PAIR | {"gap": 1}, PAIR | {"gap": value}, PAIR]), margin_column="gap")
    assert [pair.margin for pair in found.records] == [1.0]
    assert [(row.line, row.reason) for row in found.set_aside] == [(2, reason), (3, '"gap" is missing')]


def test_weights_belong_to_labels_and_rankings_too(write):
    ranking = {"prompt": "1?", "completions": ["a", "b"]}
    for row in (LABEL, ranking):
        rows = [row | {"w": 3}, row | {"w": 0}]
        found = read(write("rows.json", rows), weight_column="w")
        assert [record.weight for record in found.records] == [3.0]
        assert [row.reason for row in found.set_aside] == ['"w" is 0: a row of weight 0 teaches nothing']


@pytest.mark.parametrize("option", ["margin_column", "weight_column"])
def test_a_column_in_no_row_is_an_error_that_lists_those_there_are(write, option):
    with pytest.raises(DataError) as caught:
        read(write("rows.json", [PAIR | {"weights": 1}]), **{option: "weight"})
    assert caught.value.what == f'{option} = "weight": no row has this column. Did you mean "weights"?'
    assert "columns seen: prompt, chosen, rejected, weights" in caught.value.why


def test_a_margin_that_would_have_no_effect_is_an_error(write):
    path = write("rows.json", [LABEL | {"gap": 1}])
    with pytest.raises(DataError, match=r'margin_column = "gap" has no effect: the layout .* is labels'):
        read(path, margin_column="gap")
    for layout in ("labels", "ranking"):
        with pytest.raises(ValidationError, match=f'no effect with layout "{layout}"'):
            SourceOptions(source=path, layout=layout, margin_column="gap")


def test_an_empty_name_is_no_column():
    with pytest.raises(ValidationError):
        SourceOptions(weight_column="")
