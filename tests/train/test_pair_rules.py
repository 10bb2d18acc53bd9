"""What the trainer makes of rankings is what the source's rule says, in training and held out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palate.data import read_records
from palate.engine import Renderer
from palate.errors import DataError
from palate.recipe import parse_recipe
from palate.train.encoding import encode_data
from tiny_run import tokenizer


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """Eight rankings of four completions with the scores 9, 7, 7 and 4."""
    words = ["stone", "bread", "winter", "garden"]
    rows = [
        {"prompt": f"Say river {number}", "completions": words, "scores": [9, 7, 7, 4]} for number in range(8)
    ]
    path = tmp_path / "scored.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("options", "num_pairs"),
    [
        ("", 5),
        (", pair_rule: best_worst", 1),
        (", pair_rule: neighbours", 2),
        (", min_gap: 3", 3),
        (", pair_rule: neighbours, min_gap: 3", 1),
    ],
)
def test_pairs_are_made_by_the_rule_on_both_sides_of_the_split(
    scored: Path, options: str, num_pairs: int
) -> None:
    recipe = parse_recipe(
        "output: x", [f"data.train={{source: {scored}{options}}}", "data.eval_fraction=0.25"]
    )
    found = encode_data(recipe, read_records(recipe.data.train), None, Renderer(tokenizer(None)))
    assert [len(side) for side in found] == [6 * num_pairs, 2 * num_pairs]


def test_whole_rankings_are_trained_on_without_their_ties(scored: Path) -> None:
    recipe = parse_recipe("output: x", [f"data.train={{source: {scored}}}", "objective.type=plackett_luce"])
    train, _ = encode_data(recipe, read_records(recipe.data.train), None, Renderer(tokenizer(None)))
    assert {len(example.branches) for example in train.examples} == {3}


def test_a_least_gap_does_nothing_to_whole_rankings(scored: Path) -> None:
    given = [f"data.train={{source: {scored}, min_gap: 2}}", "objective.type=plackett_luce"]
    recipe = parse_recipe("output: x", given)
    with pytest.raises(DataError, match="have no effect: the objective learns from whole rankings"):
        encode_data(recipe, read_records(recipe.data.train), None, Renderer(tokenizer(None)))
