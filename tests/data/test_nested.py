"""Rows under splits and categories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palate.data import read_records
from palate.data.files.nested import rows_of_tree
from palate.recipe import SourceOptions

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "llm_twin" / "preference_datasets.json"


def test_splits_of_categories_of_samples_are_rows_that_say_where_they_stood():
    tree = {
        "id": "x",
        "train": {"articles": {"id": "y", "samples": [{"n": 1}, {"n": 2}]}, "posts": {"samples": [{"n": 3}]}},
        "test": {"articles": {"samples": [{"n": 4, "category": "mine"}]}},
        "test_split_size": 0.05,
    }
    assert rows_of_tree(tree) == [
        {"n": 1, "split": "train", "category": "articles"},
        {"n": 2, "split": "train", "category": "articles"},
        {"n": 3, "split": "train", "category": "posts"},
        {"n": 4, "split": "test", "category": "mine"},
    ]


def test_splits_of_lists():
    tree = {"train": [{"n": 1}, "no row"], "validation": [{"n": 2, "split": "dev"}]}
    assert rows_of_tree(tree) == [{"n": 1, "split": "train"}, "no row", {"n": 2, "split": "dev"}]


def test_splits_of_categories_that_are_lists_themselves():
    assert rows_of_tree({"test": {"a": [{"n": 1}]}}) == [{"n": 1, "split": "test", "category": "a"}]


def test_the_tree_itself_is_left_as_it_is():
    tree = {"train": [{"n": 1}]}
    rows_of_tree(tree)
    assert tree == {"train": [{"n": 1}]}


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [],
        [{"train": []}],
        {},
        {"rows": [{"n": 1}]},
        {"train": 3},
        {"train": [{"n": 1}], "more": [{"n": 2}]},
        {"train": {"articles": {"rows": [{"n": 1}]}}},
        {"train": {"articles": 5}},
        {"test": {"prompt": "Which test?", "chosen": "This."}},
    ],
)
def test_what_is_not_of_this_shape(tree):
    assert rows_of_tree(tree) is None


def test_the_real_artifact_has_402_rows():
    if not REAL.exists():
        pytest.skip("llm_twin/preference_datasets.json is not at hand: it is looked for in ../shared/data")
    rows = rows_of_tree(json.loads(REAL.read_text(encoding="utf-8")))
    assert rows is not None
    assert [sum(row["split"] == split for row in rows) for split in ("train", "test")] == [381, 21]
    assert {row["category"] for row in rows} == {"articles"}


def test_a_record_says_under_which_split_and_category_it_stood(write):
    row = {"instruction": "1?", "chosen": "yes", "rejected": "no"}
    tree = {"train": {"articles": {"samples": [row]}}, "test": {"posts": {"samples": [row]}}}
    found = read_records(SourceOptions(source=write("tree.json", json.dumps(tree))))
    assert found.layout == "instruction"
    assert [record.provenance.detail for record in found.records] == [
        {"split": "train", "category": "articles"},
        {"split": "test", "category": "posts"},
    ]
