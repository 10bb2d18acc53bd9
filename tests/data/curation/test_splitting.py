"""Splits of files: no group on two sides, the share as near as groups allow, the same for any order."""

from __future__ import annotations

import random

import pytest
from curation_rows import pair, stream_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palate.data import read_records, stream_records
from palate.data.audit import audit_source
from palate.data.curation import SplitOptions, split_source, write_split
from palate.data.curation.splitting import _filled
from palate.errors import DataError
from palate.recipe import SourceOptions


def sides(folder, records, **options):
    found = split_source(stream_of(folder, records), SplitOptions(**options))
    return {side: list(found.records(side)) for side in found.names}, found


def prompts(records):
    return {record.prompt[-1].content for record in records}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 25), st.integers(26, 60)), min_size=6, max_size=60),
    st.booleans(),
)
def test_every_row_once_and_no_group_twice(tmp_path, numbers, by_completion):
    records = [pair(f"Question {p}", f"answer {c}", f"answer {r}") for p, c, r in numbers]
    try:
        found, split = sides(
            tmp_path, records, eval_fraction=0.3, test_fraction=0.2, group_by_completion=by_completion
        )
    except DataError as error:
        assert "cannot be on 3 sides" in error.what
        return
    lines = [record.provenance.line for side in found.values() for record in side]
    assert sorted(lines) == list(range(1, len(records) + 1))
    for side in found.values():
        assert [r.provenance.line for r in side] == sorted(r.provenance.line for r in side)
        assert side
    names = list(found)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert not prompts(found[one]) & prompts(found[other])
            if by_completion:
                said = [{t for r in found[name] for t in (r.chosen, r.rejected)} for name in (one, other)]
                assert not said[0] & said[1]
    sizes = split.as_dict()["num_records"]
    assert sum(sizes.values()) == len(records)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=40), st.floats(1, 60))
def test_a_share_is_met_within_half_a_group(sizes, target):
    import numpy as np

    array = np.array(sizes)
    taken = _filled(np.arange(len(sizes)), array, target, most=len(sizes) - 1)
    num = int(array[taken].sum())
    assert len(taken) == len(set(taken)) < len(sizes)
    if len(taken) > 1 or num <= target:
        assert num - target <= max(sizes) / 2
    left = [size for number, size in enumerate(sizes) if number not in taken]
    if len(left) > 1:
        assert target - num < min(left) / 2


def test_case_spaces_punctuation_and_system_do_not_part_prompts(tmp_path):
    spellings = ["Name  a COLOUR", "name a colour", "Name a colour?", "Name a colour!"]
    records = [pair(said, "a", f"b{i}") for i, said in enumerate(spellings)]
    records += [pair(f"Other {i}", "a", "b") for i in range(8)]
    found, _ = sides(tmp_path, records, eval_fraction=0.5)
    assert len([side for side in found.values() if any("colour" in p.casefold() for p in prompts(side))]) == 1


def test_the_order_of_rows_has_no_say(tmp_path):
    records = [pair(f"Question {i % 40}", f"a{i}", f"b{i}") for i in range(80)]
    shuffled = random.Random(1).sample(records, len(records))
    one, other = (sides(tmp_path, rows, eval_fraction=0.25)[0] for rows in (records, shuffled))
    assert prompts(one["eval"]) == prompts(other["eval"])
    assert len(one["eval"]) == 20


def test_documents_stay_together(tmp_path):
    records = [pair(f"Question {i}", f"a{i}", f"b{i}", document=f"doc {i % 6}") for i in range(36)]
    found, split = sides(tmp_path, records, eval_fraction=0.34, group_by="document")
    numbers = [{record.provenance.detail["document"] for record in side} for side in found.values()]
    assert not numbers[0] & numbers[1]
    assert (split.num_groups, split.largest_group, len(found["eval"])) == (6, 6, 12)


def test_a_key_that_no_row_has(tmp_path):
    with pytest.raises(DataError, match='"dokument"') as error:
        sides(tmp_path, [pair(f"{i}?", "a", "b", document="x") for i in range(3)], group_by="dokument")
    assert 'Did you mean "document"' in str(error.value)


def test_near_prompts_stay_together(tmp_path):
    stem = "Explain in three sentences how a water mill grinds the corn of village number"
    records = [pair(f"{stem} {i}", f"a{i}", f"b{i}") for i in range(4)]
    words = ["colour", "river", "tree", "bird", "town", "song", "metal", "sauce"]
    records += [pair(f"{word} " * 6, f"c{word}", f"d{word}") for word in words]
    found, split = sides(tmp_path, records, eval_fraction=0.5, group_near_duplicates=True)
    assert split.num_groups == 9
    assert len([side for side in found.values() if any(stem in p for p in prompts(side))]) == 1
    assert sides(tmp_path, records, eval_fraction=0.5)[1].num_groups == 12


def test_the_audit_finds_no_leak_between_the_files(tmp_path):
    records = [pair(f"Question {i % 30}", f"a{i % 25}", f"b{i}") for i in range(60)]
    for by_completion, leaks in ((False, {"leak_completion"}), (True, set())):
        split = split_source(
            stream_of(tmp_path, records),
            SplitOptions(eval_fraction=0.3, group_by_completion=by_completion),
        )
        files = write_split(split, tmp_path / str(by_completion))
        train, held_out = (
            stream_records(SourceOptions(source=str(files[side].path))) for side in ("train", "eval")
        )
        found = {finding.check for finding in audit_source(train, held_out).findings}
        assert found & {"leak_prompt", "leak_completion"} == leaks


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".parquet"])
def test_files_hold_the_records(tmp_path, ending):
    records = [pair(f"Question {i}", "a", "b", 0.5 * i) for i in range(20)]
    split = split_source(stream_of(tmp_path, records), SplitOptions(test_fraction=0.2))
    files = write_split(split, tmp_path / "parts", ending=ending)
    again = {
        record.id
        for file in files.values()
        for record in read_records(SourceOptions(source=str(file.path))).records
    }
    assert {side: file.num_records for side, file in files.items()} == {"train": 14, "eval": 2, "test": 4}
    assert again == {record.id for record in records}
    with pytest.raises(DataError, match="there already"):
        write_split(split, tmp_path / "parts", ending=ending)
    write_split(split, tmp_path / "parts", ending=ending, overwrite=True)


def test_a_file_of_an_earlier_split_is_not_left_to_leak(tmp_path):
    stream = stream_of(tmp_path, [pair(f"Question {i}", "a", "b") for i in range(20)])
    write_split(split_source(stream, SplitOptions(test_fraction=0.2)), tmp_path / "parts")
    with pytest.raises(DataError, match="an earlier split"):
        write_split(split_source(stream, SplitOptions()), tmp_path / "parts", overwrite=True)
    with pytest.raises(DataError, match="an earlier split"):
        write_split(split_source(stream, SplitOptions()), tmp_path / "parts", ending=".parquet")


def test_groups_too_large_are_counted_and_trained_on(tmp_path):
    records = [pair("The one", f"a{i}", f"b{i}") for i in range(30)]
    records += [pair(f"Question {i}", "a", "b") for i in range(10)]
    found, split = sides(tmp_path, records, eval_fraction=0.1)
    assert (split.num_groups_too_large, split.largest_group, len(found["eval"])) == (1, 30, 4)


def test_one_group_cannot_be_split(tmp_path):
    with pytest.raises(DataError, match="1 group cannot be on 2 sides"):
        sides(tmp_path, [pair("The one", f"a{i}", "b") for i in range(5)])


@pytest.mark.parametrize(
    "options",
    [
        {"eval_fraction": 1.0},
        {"test_fraction": -0.1},
        {"eval_fraction": 0.0},
        {"eval_fraction": 0.5, "test_fraction": 0.5},
        {"eval_fraction": float("nan")},
    ],
)
def test_fractions_that_are_none(options):
    with pytest.raises(DataError):
        SplitOptions(**options)
