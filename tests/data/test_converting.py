"""Any layout in, clean records out, and nothing lost on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palate.data import convert_source, read_records, records_as
from palate.errors import DataError
from palate.recipe import SourceOptions

ROW = {"prompt": "1?", "chosen": "yes", "rejected": "no"}
RANKING = {"prompt": "1?", "completions": ["a", "b", "c", "d"], "scores": [3, 2, 2, 1.5]}


def lines(path) -> list:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".parquet"])
def test_records_go_into_one_file_and_rows_set_aside_into_another(write, tmp_path, ending):
    source = write("rows.jsonl", json.dumps(ROW) + "\nnonsense\n" + json.dumps(ROW | {"chosen": ""}) + "\n")
    out = tmp_path / "out" / f"clean{ending}"
    done = convert_source(SourceOptions(source=source), out)
    assert (done.layout, done.kind) == ("strings", "pairs")
    assert (done.num_rows, done.num_kept, done.num_set_aside) == (3, 1, 2)
    assert (done.written.path, done.written.num_records) == (out, 1)
    assert done.set_aside_file == tmp_path / "out" / "clean.set_aside.jsonl"
    assert lines(done.set_aside_file) == [
        {"place": f"{source}:2", "line": 2, "reason": "not JSON: expecting value", "excerpt": "nonsense "},
        {"place": f"{source}:3", "line": 3, "reason": '"chosen" is empty', "excerpt": "1? | no"},
    ]
    assert {file.name for file in out.parent.iterdir()} == {out.name, "clean.set_aside.jsonl"}
    again = read_records(SourceOptions(source=str(out)))
    assert [r.id for r in again.records] == [r.id for r in read_records(SourceOptions(source=source)).records]
    assert again.records[0].provenance.detail["origin"] == [{"source": source, "line": 1}]


def test_where_nothing_is_set_aside_there_is_no_file_for_it(write, tmp_path):
    done = convert_source(SourceOptions(source=write("rows.jsonl", [ROW])), tmp_path / "out" / "clean.jsonl")
    assert done.set_aside_file is None
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["clean.jsonl"]


def test_where_nothing_is_kept_there_is_no_file_of_records(write, tmp_path):
    source = write("rows.jsonl", [ROW | {"chosen": "no"}])
    done = convert_source(SourceOptions(source=source), tmp_path / "out" / "clean.parquet")
    assert (done.written, done.num_kept, done.num_set_aside) == (None, 0, 1)
    assert done.as_data()["num_written"] == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["clean.set_aside.jsonl"]


def test_a_ranking_stays_whole_with_its_scores(write, tmp_path):
    source = write("rows.jsonl", [RANKING])
    convert_source(SourceOptions(source=source), tmp_path / "clean.jsonl")
    (ranking,) = read_records(SourceOptions(source=str(tmp_path / "clean.jsonl"))).records
    assert ranking.scores == (3.0, 2.0, 2.0, 1.5)


def test_rankings_become_pairs_by_the_rule_and_what_it_drops_is_counted(write, tmp_path):
    """Of a 3, b 2, c 2, d 1.5: six comparisons, b-c ties, b-d and c-d are nearer than 0.75."""
    options = SourceOptions(source=write("rows.jsonl", [RANKING]), min_gap=0.75, score_margin=True)
    done = convert_source(options, tmp_path / "clean.jsonl", kind="pairs")
    assert (done.num_kept, done.written.num_records, done.num_tied, done.num_below_gap) == (1, 3, 1, 2)
    pairs = read_records(SourceOptions(source=str(tmp_path / "clean.jsonl"))).records
    assert [(pair.chosen[0].content, pair.rejected[0].content, pair.margin) for pair in pairs] == [
        ("a", "b", 1.0),
        ("a", "c", 1.0),
        ("a", "d", 1.5),
    ]


@pytest.mark.parametrize("kind", ["labels", "rankings"])
def test_pairs_become_the_other_kinds(write, tmp_path, kind):
    source = write("rows.jsonl", [ROW])
    done = convert_source(SourceOptions(source=source), tmp_path / "clean.jsonl", kind=kind)
    found = read_records(SourceOptions(source=str(tmp_path / "clean.jsonl")))
    wanted = records_as(read_records(SourceOptions(source=source)).records, kind, where=source)
    assert (done.kind, found.kind) == (kind, kind)
    assert [record.id for record in found.records] == [record.id for record in wanted]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"prompt": "1?", "completion": "a", "label": True}, "pairs"),
        ({"prompt": "1?", "completion": "a", "label": True}, "rankings"),
        (RANKING, "labels"),
    ],
)
def test_what_the_data_does_not_say_is_not_made_up(write, tmp_path, row, kind):
    with pytest.raises(DataError, match=f"cannot become {kind}"):
        convert_source(SourceOptions(source=write("rows.jsonl", [row])), tmp_path / "clean.jsonl", kind=kind)
    assert not (tmp_path / "clean.jsonl").exists()


def test_a_rule_for_pairs_has_no_effect_on_rankings_that_stay(write, tmp_path):
    options = SourceOptions(source=write("rows.jsonl", [RANKING]), pair_rule="neighbours")
    with pytest.raises(DataError, match="no effect: rankings stay rankings"):
        convert_source(options, tmp_path / "clean.jsonl")


def test_an_empty_system_message_is_refused(write, tmp_path):
    options = SourceOptions(source=write("rows.jsonl", [ROW]))
    with pytest.raises(DataError, match="the system message is empty"):
        convert_source(options, tmp_path / "clean.jsonl", system=" ")
    assert not (tmp_path / "clean.jsonl").exists()


def test_the_system_message_is_written(write, tmp_path):
    options = SourceOptions(source=write("rows.jsonl", [ROW]))
    convert_source(options, tmp_path / "clean.jsonl", system="Be brief.")
    assert lines(tmp_path / "clean.jsonl")[0]["prompt"][0] == {"role": "system", "content": "Be brief."}


def test_what_is_there_stays_unless_it_is_to_be_replaced(write, tmp_path):
    options = SourceOptions(source=write("rows.jsonl", [ROW]))
    for name in ("clean.jsonl", "clean.set_aside.jsonl"):
        (tmp_path / name).write_text("old")
        with pytest.raises(DataError, match="there already"):
            convert_source(options, tmp_path / "clean.jsonl")
        assert (tmp_path / name).read_text() == "old"
        convert_source(options, tmp_path / "clean.jsonl", overwrite=True)
        # The list of an earlier conversion would be taken for this one's.
        assert sorted(file.name for file in tmp_path.iterdir()) == ["clean.jsonl", "rows.jsonl"]
        (tmp_path / "clean.jsonl").unlink()


def test_a_source_is_not_written_over(write, tmp_path):
    source = write("rows.jsonl", [ROW])
    link = tmp_path / "link.jsonl"
    link.symlink_to(source)
    for out in (Path(source), link):
        with pytest.raises(DataError, match="the source itself"):
            convert_source(SourceOptions(source=source), out, overwrite=True)
    listed = write("clean.set_aside.jsonl", [ROW])
    with pytest.raises(DataError, match="the source itself"):
        convert_source(SourceOptions(source=listed), tmp_path / "clean.jsonl", overwrite=True)
    assert lines(source) == lines(listed) == [ROW]


@pytest.mark.parametrize("name", ["clean.csv", "clean", "clean.json"])
def test_an_ending_that_is_not_written_is_refused_before_work_begins(write, tmp_path, name):
    with pytest.raises(DataError, match=r"no format that records are written in|has no extension"):
        convert_source(SourceOptions(source=str(tmp_path / "absent.jsonl")), tmp_path / name)
    with pytest.raises(DataError, match="this is a folder"):
        convert_source(SourceOptions(source=write("rows.jsonl", [ROW])), tmp_path, overwrite=True)


def test_a_source_that_breaks_off_leaves_nothing(write, tmp_path):
    rows = [ROW | {"prompt": f"{i}?"} for i in range(3000)]
    source = Path(write("rows.jsonl.gz", rows))
    source.write_bytes(source.read_bytes()[:-20])
    with pytest.raises(DataError, match="compressed file is broken"):
        convert_source(SourceOptions(source=str(source)), tmp_path / "out" / "clean.jsonl")
    assert list((tmp_path / "out").iterdir()) == []
