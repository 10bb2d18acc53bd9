"""Parquet: columns of types that JSON does not have, and values that Python cannot take."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pyarrow
import pyarrow.parquet

from palate.data import read_records
from palate.data.files import read_file
from palate.data.files.parquet_files import DamagedValue
from palate.recipe import SourceOptions

TEXTS = {"prompt": ["1?", "2?"], "chosen": ["yes", "yes"], "rejected": ["no", "no"]}


def written(folder, columns) -> str:
    path = folder / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return str(path)


def test_a_margin_with_a_fixed_point_is_a_number(tmp_path):
    margin = pyarrow.array([Decimal("1.50"), Decimal("0.25")], pyarrow.decimal128(5, 2))
    path = written(tmp_path, TEXTS | {"gap": margin})
    pairs = read_records(SourceOptions(source=path, margin_column="gap")).records
    assert [pair.margin for pair in pairs] == [1.5, 0.25]


def test_scores_with_a_fixed_point_in_a_list_are_numbers(tmp_path):
    scores = pyarrow.array([[Decimal("1.5"), Decimal("2.5")]], pyarrow.list_(pyarrow.decimal128(5, 2)))
    path = written(tmp_path, {"prompt": ["1?"], "completions": [["worse", "better"]], "scores": scores})
    (ranking,) = read_records(SourceOptions(source=path)).records
    assert (ranking.completions[0][0].content, ranking.scores) == ("better", (2.5, 1.5))


def test_a_value_that_python_cannot_take_costs_only_what_needs_it(tmp_path):
    far = pyarrow.array([2**62, 0], pyarrow.int64()).view(pyarrow.timestamp("ms"))
    path = written(tmp_path, TEXTS | {"when": far})
    first, second = read_file(path)
    assert isinstance(first.fields["when"], DamagedValue)
    assert second.fields["when"] == datetime.datetime(1970, 1, 1)
    assert len(read_records(SourceOptions(source=path)).records) == 2
    found = read_records(SourceOptions(source=path, weight_column="when"))
    assert [row.reason for row in found.set_aside] == [
        '"when" is of type DamagedValue, a number was expected',
        '"when" is of type datetime, a number was expected',
    ]


def test_text_that_is_not_utf8_costs_its_row(tmp_path):
    damaged = pyarrow.array([b"caf\xe9", b"yes"], pyarrow.binary()).view(pyarrow.string())
    found = read_records(
        SourceOptions(source=written(tmp_path, TEXTS | {"chosen": damaged}), layout="strings")
    )
    assert [(row.line, row.reason) for row in found.set_aside] == [
        (1, '"chosen" is of type DamagedValue, text was expected')
    ]
    assert len(found.records) == 1


def test_bytes_are_no_text(tmp_path):
    path = written(tmp_path, TEXTS | {"chosen": pyarrow.array([b"yes", b"no"], pyarrow.binary())})
    found = read_records(SourceOptions(source=path, layout="strings"))
    assert {row.reason for row in found.set_aside} == {'"chosen" is of type bytes, text was expected'}
