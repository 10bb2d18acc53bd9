"""The public files Palate is made for, where they are at hand; their text stays where it is."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from palate.data import (
    inspect_source,
    read_prompts,
    read_records,
    records_as,
    split_by_prompt,
    write_records,
)
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


def test_titles_as_labels_and_rankings_keep_every_preference():
    found = read_records(SourceOptions(source=real("youtube_titles/preferences.csv")))
    labels = records_as(found.records, "labels", where=found.source)
    assert (len(labels), sum(label.desirable for label in labels)) == (2280, 1140)
    rankings = records_as(found.records, "rankings", where=found.source)
    assert {len(ranking.completions) for ranking in rankings} == {2}


def test_real_dialogues_written_by_palate_come_back(tmp_path):
    found = read_records(SourceOptions(source=real("hh_harmless/first_1000.jsonl.gz")))
    for kind in ("pairs", "labels", "rankings"):
        records = records_as(found.records, kind, where=found.source)
        path = tmp_path / f"{kind}.jsonl"
        write_records(records, path)
        again = read_records(SourceOptions(source=str(path)))
        assert (again.kind, again.set_aside) == (kind, ())
        assert [record.id for record in again.records] == [record.id for record in records]


def test_a_choice_between_two_real_titles_makes_labels(tmp_path):
    """The annotated titles say 0 or 1 for one of two completions; read as labels once columns are renamed."""
    with Path(real("youtube_titles/title_eval_annotated.csv")).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    path = tmp_path / "labels.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "completion", "label"])
        writer.writerows([row["base_title"], row["ft_title"], row["ft_title_preferred"]] for row in rows)
    found = inspect_source(SourceOptions(source=str(path)))
    assert (found["layout"], found["num_kept"]) == ("labels", 50)
    assert found["counts"]["num_desirable"] == sum(row["ft_title_preferred"] == "1" for row in rows)


@pytest.mark.parametrize(
    ("name", "count"),
    [("debate/test_prompt.json", 10), ("youtube_titles/ideas.csv", 114), ("debate/labelled_data.json", 50)],
)
def test_prompts(name, count):
    prompts, set_aside = read_prompts(real(name))
    assert (len(prompts), len(set_aside)) == (count, 0)
