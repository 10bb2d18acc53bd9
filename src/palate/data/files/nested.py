"""The rows in a JSON tree that has them under splits, and under categories within these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SPLITS", "rows_of_tree"]

SPLITS = ("train", "training", "validation", "valid", "val", "dev", "eval", "evaluation", "test")
"""Keys that say which part of a data set stands below them."""


def rows_of_tree(tree: object) -> list[object] | None:
    """The rows of all splits in the file's order, or None where the tree is not of this shape.

    Below a split stands a list of rows, or an object of categories, each a list of rows or an object that
    holds one under `samples` (the artifacts of the LLM Engineer's Handbook). A row that is an object gets
    the keys `split` and `category` where it has none of its own, so that a record still says where it was.
    """
    if not isinstance(tree, Mapping):
        return None
    splits = {
        key: below for key, below in tree.items() if key in SPLITS and isinstance(below, Mapping | list)
    }
    # A list beside the splits may hold rows too: to pass over it would lose them.
    if not splits or any(isinstance(tree[key], list) for key in tree.keys() - splits.keys()):
        return None
    rows: list[object] = []
    for split, below in splits.items():
        for category, found in _categories(below):
            if found is None:
                return None
            rows += [_placed(row, split, category) for row in found]
    return rows


def _categories(below: Mapping[str, Any] | list[Any]) -> list[tuple[str | None, list[Any] | None]]:
    """Each category with its rows; None in place of rows that are not found where they should be."""
    if isinstance(below, list):
        return [(None, below)]
    return [(str(key), _samples(value)) for key, value in below.items()]


def _samples(value: object) -> list[Any] | None:
    if isinstance(value, list):
        return value
    samples = value.get("samples") if isinstance(value, Mapping) else None
    return samples if isinstance(samples, list) else None


def _placed(row: object, split: str, category: str | None) -> object:
    if not isinstance(row, Mapping):
        return row
    placed = dict(row)
    placed.setdefault("split", split)
    if category is not None:
        placed.setdefault("category", category)
    return placed
