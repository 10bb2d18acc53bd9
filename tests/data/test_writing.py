"""What Palate writes it reads back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from said import said

from palate.data import read_records, write_records
from palate.data.files import read_file
from palate.data.written import MAX_ORIGINS
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import Labelled, Message, Pair, Provenance, Ranking

ORIGIN = Provenance("elsewhere", 3, {"judge": "me"})
PAIR = Pair(said("u: 1?"), said("a: yes"), said("a: no"), ORIGIN)

# Every character a tokenizer can take, rare line ends among them.
_text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1).filter(
    lambda text: text.strip()
)
_user, _assistant = (_text.map(lambda text, role=role: Message(role, text)) for role in ("user", "assistant"))
_prompt = st.one_of(
    st.tuples(_user),
    st.tuples(_text.map(lambda text: Message("system", text)), _user),
    st.tuples(_user, _assistant, _user),
)
_completion = st.one_of(st.tuples(_assistant), st.tuples(_assistant, _user, _assistant))
_completions = st.lists(_completion, min_size=2, max_size=4, unique=True).map(tuple)
_weight = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)
_margin = st.floats(min_value=0, allow_infinity=False, allow_nan=False)
_json = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=("Cs",)))
_detail = st.dictionaries(
    st.text(st.characters(exclude_categories=("Cs",))).filter(
        lambda key: key != "origin" and not key.startswith("num_")
    ),
    _json | st.lists(_json, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), _json),
    max_size=3,
)
_origin = st.builds(Provenance, st.just("elsewhere"), st.none() | st.integers(1), _detail)

_pair = st.builds(
    lambda prompt, sides, origin, margin, weight: Pair(prompt, sides[0], sides[1], origin, margin, weight),
    _prompt,
    _completions,
    _origin,
    _margin | st.none(),
    _weight,
)
_bare_pair = _pair.map(lambda pair: replace(pair, margin=None, weight=1.0))
_label = st.builds(Labelled, _prompt, _completion, st.booleans(), _origin, _weight)
_ranking = st.builds(Ranking, _prompt, _completions, _origin, _weight)


_rising = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=4).filter(lambda s: min(s) < max(s))


@st.composite
def _scored(draw):
    """A ranking with scores, ties among them."""
    scores = tuple(sorted(draw(_rising), reverse=True))
    completions = draw(st.lists(_completion, min_size=len(scores), max_size=len(scores), unique=True))
    return Ranking(draw(_prompt), tuple(completions), draw(_origin), draw(_weight), scores)


_kinds = (_pair | _bare_pair, _label, _ranking | _scored())
ENDINGS = [".jsonl", ".jsonl.gz", ".parquet"]


def content(record):
    """Everything but where it came from, which is the new file now."""
    said = [getattr(record, name, None) for name in ("margin", "scores")]
    return record.id, *said, record.weight


def back(path, **options):
    return read_records(SourceOptions(source=str(path), **options))


def written(records, folder, **options):
    path = folder / "rows.jsonl"
    write_records(records, path)
    return back(path, **options)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.lists(kind, min_size=1, max_size=5) for kind in _kinds), st.sampled_from(ENDINGS))
def test_written_records_come_back(tmp_path_factory, records, ending):
    path = tmp_path_factory.mktemp("rows") / f"rows{ending}"
    account = write_records(iter(records), path)
    found = back(path)
    assert found.set_aside == ()
    assert [content(record) for record in found.records] == [content(record) for record in records]
    assert (account.num_records, account.kind) == (len(records), found.kind)
    assert account.num_bytes == path.stat().st_size
    for record, original in zip(found.records, records, strict=True):
        detail = dict(record.provenance.detail)
        assert detail.pop("origin") == [{"source": "elsewhere", "line": original.provenance.line}]
        assert detail == dict(original.provenance.detail)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_pair_with_nothing_more_to_say_has_these_columns(tmp_path, ending):
    path = tmp_path / "new" / f"rows{ending}"
    assert write_records(iter([PAIR]), path).columns == ("prompt", "chosen", "rejected", "provenance")
    (row,) = read_file(str(path))
    fields = dict(row.fields)
    assert json.loads(fields.pop("provenance")) == {
        "format": "palate/1",
        "source": "elsewhere",
        "line": 3,
        "detail": {"judge": "me"},
    }
    assert fields == {
        "prompt": [{"role": "user", "content": "1?"}],
        "chosen": [{"role": "assistant", "content": "yes"}],
        "rejected": [{"role": "assistant", "content": "no"}],
    }
    assert [file.name for file in path.parent.iterdir()] == [f"rows{ending}"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_one_record_has_every_row_has_a_column_for(tmp_path, ending):
    heavy = replace(PAIR, margin=0.5, weight=2.5)
    path = tmp_path / f"rows{ending}"
    account = write_records([PAIR, heavy], path)
    assert account.columns == ("prompt", "chosen", "rejected", "margin", "weight", "provenance")
    first, second = (dict(row.fields) for row in read_file(str(path)))
    assert list(first) == list(second) == list(account.columns)
    assert (first["margin"], first["weight"], second["margin"], second["weight"]) == (None, 1.0, 0.5, 2.5)
    assert [(pair.margin, pair.weight) for pair in back(path).records] == [(None, 1.0), (0.5, 2.5)]


def test_a_pair_turned_round_by_named_columns_keeps_no_margin(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_records([replace(PAIR, margin=2.0)], path)
    columns = {"prompt": "prompt", "chosen": "rejected", "rejected": "chosen"}
    (turned,) = read_records(SourceOptions(source=str(path), columns=columns)).records
    assert (turned.chosen, turned.margin, turned.provenance.detail) == (PAIR.rejected, None, {})


def test_columns_that_are_named_go_before_those_that_palate_wrote(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_records([replace(PAIR, margin=0.5, weight=2.5)], path)
    row = json.loads(path.read_text()) | {"gap": 3, "trust": 4}
    path.write_text(json.dumps(row) + "\n")
    (pair,) = back(path, margin_column="gap", weight_column="trust").records
    assert (pair.margin, pair.weight) == (3.0, 4.0)


def test_a_margin_that_palate_did_not_write_is_not_read_unasked(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_records([replace(PAIR, margin=0.5, weight=2.5)], path)
    row = json.loads(path.read_text())
    for provenance in ("somebody", {"format": "palate/1"}, None, '{"format": "other/1", "detail": {}}'):
        path.write_text(json.dumps(row | {"provenance": provenance}) + "\n")
        (pair,) = back(path).records
        assert (pair.margin, pair.weight, pair.provenance.detail) == (None, 1.0, {})


def test_damaged_numbers_in_a_file_that_palate_wrote_cost_their_row(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_records([replace(PAIR, weight=2.5)], path)
    row = json.loads(path.read_text())
    path.write_text(json.dumps(row | {"weight": -1}) + "\n" + json.dumps(row | {"margin": "x"}) + "\n")
    assert [row.reason for row in back(path).set_aside] == [
        '"weight" is negative: a weight is above 0',
        '"margin" is text that is no number',
    ]


def test_damaged_provenance_says_nothing(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_records([PAIR], path)
    row = json.loads(path.read_text())
    for damaged in ('{"format": "palate/1", "det', '{"format": "palate/1", "detail": 5}'):
        path.write_text(json.dumps(row | {"provenance": damaged}) + "\n")
        (pair,) = back(path).records
        assert (pair.provenance.source, pair.provenance.line, pair.provenance.detail) == (str(path), 1, {})


def test_a_record_says_where_it_came_through_and_that_does_not_grow_without_end(tmp_path):
    records = [replace(PAIR, provenance=Provenance("first", 7, {"judge": "me", "num_tied": 2}))]
    for number in range(MAX_ORIGINS + 4):
        write_records(records, tmp_path / f"{number}.jsonl")
        records = back(tmp_path / f"{number}.jsonl").records
    detail = records[0].provenance.detail
    assert set(detail) == {"judge", "origin"}
    assert len(detail["origin"]) == MAX_ORIGINS
    assert detail["origin"][0] == {"source": str(tmp_path / f"{MAX_ORIGINS + 2}.jsonl"), "line": 1}
    assert detail["origin"][-1] == {"source": "first", "line": 7}


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_file_holds_one_kind(tmp_path, ending):
    label = Labelled(PAIR.prompt, PAIR.chosen, True, ORIGIN)
    with pytest.raises(ValueError, match="one kind"):
        write_records([PAIR, label], tmp_path / f"rows{ending}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_breaks_off_leaves_the_old_file(tmp_path, ending):
    def broken():
        yield PAIR
        raise DataError("the source breaks off")

    path = tmp_path / f"rows{ending}"
    path.write_bytes(b"old")
    with pytest.raises(DataError, match="breaks off"):
        write_records(broken(), path)
    with pytest.raises(DataError, match="half of a surrogate pair"):
        write_records([PAIR, replace(PAIR, prompt=said("u: \ud800"))], path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(path.name, b"old")]


def test_no_records_are_an_empty_file(tmp_path):
    assert write_records([], tmp_path / "rows.jsonl").columns == ()
    assert (tmp_path / "rows.jsonl").read_bytes() == b""
    with pytest.raises(ValueError, match="no records"):
        write_records([], tmp_path / "rows.parquet")


@pytest.mark.parametrize("name", ["rows.json", "rows.csv", "rows", "rows.parquet.gz", "rows.jsonl.zip"])
def test_other_endings_are_named_with_those_that_can_be_written(tmp_path, name):
    with pytest.raises(DataError) as caught:
        write_records([PAIR], tmp_path / name)
    assert caught.value.next == "use one of .jsonl, .jsonl.gz, .parquet"
    assert list(tmp_path.iterdir()) == []


def test_the_same_records_are_the_same_bytes(tmp_path):
    write_records([PAIR], tmp_path / "a.jsonl.gz")
    write_records([PAIR], tmp_path / "b.jsonl.gz")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


def test_parquet_has_row_groups_of_bounded_size(tmp_path):
    import pyarrow.parquet

    path = tmp_path / "rows.parquet"
    write_records((replace(PAIR, weight=1.0 + i) for i in range(10_000)), path)
    groups = pyarrow.parquet.ParquetFile(path).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [4096, 4096, 1808]
