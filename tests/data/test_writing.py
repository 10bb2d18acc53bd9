"""What Palate writes it reads back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from said import said

from palate.data import read_records, write_records_jsonl
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
_origin = st.just(ORIGIN)

_pair = st.builds(
    lambda prompt, sides, margin, weight: Pair(prompt, sides[0], sides[1], ORIGIN, margin, weight),
    _prompt,
    _completions,
    _margin,
    _weight,
)
_label = st.builds(Labelled, _prompt, _completion, st.booleans(), _origin, _weight)
_ranking = st.builds(Ranking, _prompt, _completions, _origin, _weight)


def content(record):
    """Everything but where it came from, which is the new file now."""
    margin = record.margin if isinstance(record, Pair) else None
    return record.id, margin, record.weight


def written(records, folder, **options):
    path = folder / "rows.jsonl"
    write_records_jsonl(records, path)
    return read_records(SourceOptions(source=str(path), **options))


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(st.lists(kind, min_size=1, max_size=5) for kind in (_pair, _label, _ranking)),
)
def test_written_records_come_back(tmp_path_factory, records):
    columns = {}
    if isinstance(records[0], Pair):
        columns["margin_column"] = "margin"
    if any(record.weight != 1 for record in records):
        columns["weight_column"] = "weight"
    found = written(records, tmp_path_factory.mktemp("rows"), **columns)
    assert found.set_aside == ()
    assert [content(record) for record in found.records] == [content(record) for record in records]


def test_a_plain_pair_has_plain_columns(tmp_path):
    path = tmp_path / "new" / "rows.jsonl"
    write_records_jsonl(iter([PAIR]), path)
    assert json.loads(path.read_text()) == {
        "prompt": [{"role": "user", "content": "1?"}],
        "chosen": [{"role": "assistant", "content": "yes"}],
        "rejected": [{"role": "assistant", "content": "no"}],
        "provenance": {"judge": "me"},
    }
    assert [file.name for file in path.parent.iterdir()] == ["rows.jsonl"]


def test_a_pair_without_margin_among_pairs_with_one_is_not_given_one(tmp_path):
    with_margin = Pair(PAIR.prompt, PAIR.chosen, PAIR.rejected, ORIGIN, margin=0.5)
    found = written([with_margin, PAIR], tmp_path, margin_column="margin")
    assert [pair.margin for pair in found.records] == [0.5]
    assert [row.reason for row in found.set_aside] == ['"margin" is null']


def test_weights_of_one_among_others_are_written(tmp_path):
    heavy = Pair(PAIR.prompt, PAIR.chosen, PAIR.rejected, ORIGIN, weight=2.5)
    assert [r.weight for r in written([PAIR, heavy], tmp_path, weight_column="weight").records] == [1.0, 2.5]


def test_one_file_holds_one_kind(tmp_path):
    label = Labelled(PAIR.prompt, PAIR.chosen, True, ORIGIN)
    with pytest.raises(ValueError, match="one kind"):
        write_records_jsonl([PAIR, label], tmp_path / "rows.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_no_records_are_an_empty_file(tmp_path):
    write_records_jsonl([], tmp_path / "rows.jsonl")
    assert (tmp_path / "rows.jsonl").read_bytes() == b""
