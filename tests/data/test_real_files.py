"""The public files Palate is made for, where they are at hand; their text stays where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from palate.data import inspect_source, read_prompts, read_records, split_by_prompt
from palate.recipe import SourceOptions

FOLDER = Path(__file__).parents[2].parent / "shared" / "data"


def real(name: str) -> str:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{name} is not at hand: it is looked for in ../shared/data")
    return str(path)


@pytest.mark.parametrize(
    ("name", "layout", "num_rows", "num_kept"),
    [
        ("youtube_titles/preferences.csv", "messages", 1140, 1140),
        ("debate/labelled_data.json", "stance", 50, 50),
        ("hh_harmless/first_1000.jsonl.gz", "transcript", 1000, 997),
    ],
)
def test_layout_and_counts(name, layout, num_rows, num_kept):
    found = inspect_source(SourceOptions(source=real(name)))
    assert (found["layout"], found["num_rows"], found["num_kept"]) == (layout, num_rows, num_kept)


def test_titles_are_114_ideas_of_10_pairs_over_5_titles():
    pairs = read_records(SourceOptions(source=real("youtube_titles/preferences.csv"))).records
    train, held_out = split_by_prompt(pairs, 0.1)
    assert (len({pair.prompt for pair in pairs}), len(train), len(held_out)) == (114, 1030, 110)


def test_the_homework_prefers_support_five_times_in_fifty():
    options = SourceOptions(source=real("debate/labelled_data.json"), support_ratio=0.1)
    prefers = [
        pair.provenance.detail["prefers"] for pair in read_records(options, system="Be brief.").records
    ]
    assert prefers == ["support"] * 5 + ["oppose"] * 45


def test_dialogues_keep_their_turns_and_name_what_is_empty():
    found = read_records(SourceOptions(source=real("hh_harmless/first_1000.jsonl.gz")))
    assert [row.line for row in found.set_aside] == [87, 517, 926]
    assert {row.reason for row in found.set_aside} == {"the chosen completion is empty"}
    assert {pair.prompt[-1].role for pair in found.records} == {"user"}
    assert {(len(pair.chosen), len(pair.rejected)) for pair in found.records} == {(1, 1)}


@pytest.mark.parametrize(
    ("name", "count"),
    [("debate/test_prompt.json", 10), ("youtube_titles/ideas.csv", 114), ("debate/labelled_data.json", 50)],
)
def test_prompts(name, count):
    prompts, set_aside = read_prompts(real(name))
    assert (len(prompts), len(set_aside)) == (count, 0)
