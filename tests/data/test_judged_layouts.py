"""The layouts `labels` and `ranking`: what they are told from, and what becomes of their rows."""

from __future__ import annotations

import json
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from said import dicts, said

from palate.data import read_records, records_as
from palate.data.detection import claimed_layout
from palate.data.rows import RawRow
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import Message

LABEL = {"prompt": "1?", "completion": "yes", "label": True}
RANKING = {"prompt": "1?", "completions": ["best", "middle", "worst"]}
PAIR = {"prompt": "1?", "chosen": "yes", "rejected": "no"}


def detected(*rows):
    return claimed_layout([RawRow(i, row) for i, row in enumerate(rows, 1)], "rows")


def read(path, **options):
    prompt_system = options.pop("system", None)
    return read_records(SourceOptions(source=path, **options), system=prompt_system)


def ranked(write, **change):
    """What the ranking becomes with these columns: its texts best first, or the reason it is set aside."""
    row = {name: value for name, value in (RANKING | change).items() if value is not ...}
    found = read(write("rows.json", [row]), layout="ranking")
    if found.set_aside:
        return found.set_aside[0].reason
    return [completion[-1].content for completion in found.records[0].completions]


# Labels


@pytest.mark.parametrize(
    "row",
    [
        LABEL,
        LABEL | {"prompt": dicts("u: 1?"), "completion": dicts("a: yes")},
        LABEL | {"prompt": repr(dicts("u: 1?")), "completion": json.dumps(dicts("a: yes"))},
        LABEL | {"completion": dicts("u: 1?", "a: yes"), "label": "desirable"},
        LABEL | {"label": 1, "id": 7},
    ],
)
def test_one_label_in_every_form(write, row):
    assert detected(row) == "labels"
    found = read(write("rows.json", [row]))
    (record,) = found.records
    assert (found.kind, found.layout) == ("labels", "labels")
    assert (record.prompt, record.completion, record.desirable) == (said("u: 1?"), said("a: yes"), True)
    assert (record.weight, record.provenance.line) == (1.0, 1)


def test_labels_from_csv_are_text(write):
    found = read(write("rows.csv", "prompt,completion,label\n1?,yes,True\n2?,no,0\n3?,hm,maybe\n"))
    assert [record.desirable for record in found.records] == [True, False]
    assert [row.line for row in found.set_aside] == [4]
    assert found.set_aside[0].reason.startswith('"label" is other text; known: ')


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"completion": ""}, '"completion" is empty'),
        ({"completion": dicts("u: 1?")}, "the completion is empty: it only repeats the prompt"),
        ({"completion": dicts("a: x", "u: y")}, "the completion ends with a user turn, not"),
        ({"completion": dicts("u: 2?", "a: x")}, '"completion" starts with a user turn that does not'),
        ({"prompt": dicts("u: 1?", "a: 2")}, "the prompt ends with a turn of assistant"),
        ({"label": None}, '"label" is null'),
    ],
)
def test_labels_nothing_can_be_learned_from(write, change, reason):
    found = read(write("rows.json", [LABEL, LABEL | change]))
    assert len(found.records) == 1
    (row,) = found.set_aside
    assert row.reason.startswith(reason)


def test_system_messages_go_before_labels_and_rankings_too(write):
    for row in (LABEL, RANKING):
        found = read(write("rows.json", [row, row | {"system": "Be kind."}]), system="Be brief.")
        assert [record.prompt[0] for record in found.records] == [
            Message("system", "Be brief."),
            Message("system", "Be kind."),
        ]


# Rankings


@pytest.mark.parametrize(
    "row",
    [
        RANKING,
        RANKING | {"completions": [dicts(f"a: {text}") for text in RANKING["completions"]]},
        RANKING | {"completions": [dicts("u: 1?", f"a: {text}") for text in RANKING["completions"]]},
        RANKING | {"completions": ["best", dicts("a: middle"), "worst"]},
        RANKING | {"completions": repr(RANKING["completions"])},
        RANKING | {"completions": json.dumps([dicts(f"a: {text}") for text in RANKING["completions"]])},
        RANKING | {"completions": ["worst", "best", "middle"], "ranks": [3, 1, 2]},
        RANKING | {"completions": ["worst", "best", "middle"], "ranks": "[9, 1, 2.5]", "scores": None},
        RANKING | {"completions": ["worst", "best", "middle"], "scores": [-1, 0.5, "0.25"]},
    ],
)
def test_one_ranking_in_every_form(write, row):
    assert detected(row) == "ranking"
    found = read(write("rows.json", [row]))
    (record,) = found.records
    assert (found.kind, record.prompt) == ("rankings", said("u: 1?"))
    assert record.completions == (said("a: best"), said("a: middle"), said("a: worst"))
    assert record.provenance.detail == {}


@pytest.mark.parametrize(
    ("scores", "kept", "detail"),
    [
        ([2, 2, 1], ["best", "worst"], {"num_tied": 1}),
        ([1, 2, 2], ["middle", "best"], {"num_tied": 1}),
        ([1, 2, 1.0], ["middle", "best"], {"num_tied": 1}),
    ],
)
def test_of_tied_completions_the_first_in_the_row_stays_and_the_others_are_counted(
    write, scores, kept, detail
):
    found = read(write("rows.json", [RANKING | {"scores": scores}]))
    assert (len(found.records[0].completions), found.records[0].provenance.detail) == (3, {})
    assert found.records[0].scores == tuple(sorted(scores, reverse=True))
    (strict,) = records_as(found.records, "rankings", where="x")
    assert [completion[0].content for completion in strict.completions] == kept
    assert strict.provenance.detail == detail


def test_a_completion_that_follows_itself_is_one(write):
    found = read(write("rows.json", [RANKING | {"completions": ["a", "a", "b"]}]))
    assert [completion[0].content for completion in found.records[0].completions] == ["a", "b"]
    assert found.records[0].provenance.detail == {"num_repeated": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"completions": ["a"]}, '"completions" holds fewer than two completions, there is nothing to rank'),
        ({"completions": []}, '"completions" holds fewer than two completions, there is nothing to rank'),
        ({"completions": ""}, '"completions" holds fewer than two completions, there is nothing to rank'),
        ({"completions": ["a", "a"]}, "fewer than two different completions, there is nothing to rank"),
        ({"completions": ["a", "b", "a"]}, "one completion stands both above and below another one"),
        ({"scores": [1, 1, 1]}, "all completions tie, none is better than another"),
        ({"scores": [1, 2]}, '"scores" has another length than "completions"'),
        ({"ranks": [1, 2, None]}, '"ranks" is null, a number was expected'),
        ({"ranks": [1, 2, True]}, '"ranks" is a truth value, a number was expected'),
        ({"ranks": [1, 2, float("nan")]}, '"ranks" is not finite'),
        ({"ranks": 3}, '"ranks" is a number, a list was expected'),
        ({"ranks": "1, 2 and 3"}, '"ranks" should hold a list: it is neither JSON nor a Python literal'),
        ({"ranks": None}, '"ranks" is null, so the order is not known'),
        ({"ranks": " ", "scores": None}, '"ranks" is empty, so the order is not known'),
        ({"ranks": [1, 2, 3], "scores": [3, 2, 1]}, '"ranks" and "scores" are both given: drop one of the'),
        ({"completions": {"a": 1}}, '"completions" is an object, a list was expected'),
        ({"completions": ["a", ""]}, '"completion 2" is empty'),
        ({"completions": ["a", None]}, '"completion 2" is null'),
        ({"completions": dicts("a: x", "a: y")}, '"completion 1" is an object, text or a list of messages'),
        ({"completions": ["a", dicts("u: 2?", "a: b")]}, '"completion 2" starts with a user turn that does'),
        ({"completions": ["a", dicts("u: 1?")]}, "the completion ranked 2 is empty: it only repeats"),
        ({"completions": ...}, '"completions" is missing'),
        ({"prompt": None}, '"prompt" is null'),
    ],
)
def test_rankings_nothing_can_be_learned_from(write, change, reason):
    assert str(ranked(write, **change)).startswith(reason)


def test_completions_that_repeat_the_prompt_with_different_system_messages(write):
    completions = [dicts("s: Be kind.", "u: 1?", "a: x"), dicts("u: 1?", "a: y"), dicts("u: 1?", "a: z")]
    reason = ranked(write, completions=completions)
    assert reason == "the completions repeat the prompt with different system messages"


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=7))
def test_the_order_is_that_of_the_scores_and_nothing_is_made_up(scores):
    from palate.data.messages import Unusable
    from palate.data.rankings import best_first

    completions = [said(f"a: {i}") for i in range(len(scores))]
    try:
        order = best_first(completions, scores)
    except Unusable:
        assert len(set(scores)) == 1
        return
    assert sorted(order.places) == list(range(len(scores)))
    assert [completions[place] for place in order.places] == list(order.completions)
    assert [scores[place] for place in order.places] == list(order.scores) == sorted(scores, reverse=True)
    tied = [pair for pair in pairwise(order.places) if scores[pair[0]] == scores[pair[1]]]
    assert all(first < second for first, second in tied)


UNNAMED = (
    ' has a number for each completion: if they are ranks or scores, name the column "ranks" or "scores"; '
    "if the list is best first, name the columns without it"
)


@pytest.mark.parametrize("name", ["score", "rank", "ratings", "rewards"])
@pytest.mark.parametrize("value", [[1, 2, 3], ["1", "0.5", "-2"], "[1, 2, 3]", "['1', '2', '3']"])
def test_a_list_is_not_best_first_where_an_unknown_column_may_say_otherwise(write, name, value):
    assert ranked(write, **{name: value}) == f'"{name}"' + UNNAMED


@pytest.mark.parametrize(
    "value", [[1, 2], [], ["a", "b", "c"], [True, False, True], [None] * 3, 3, "[1,", "1,2,3"]
)
def test_a_column_that_is_not_one_number_for_each_says_nothing_of_the_order(write, value):
    assert ranked(write, other=value) == ["best", "middle", "worst"]


@pytest.mark.parametrize("name", ["ranks", "scores"])
def test_a_row_without_the_order_that_others_have_is_not_best_first(write, name):
    path = write("rows.jsonl", [RANKING, RANKING | {name: [3, 2, 1]}])
    columns = {"prompt": "prompt", "completions": "completions", name: name}
    for found in (read(path), read(path, columns=columns)):
        assert [row.reason for row in found.set_aside] == [f'"{name}" is null, so the order is not known']
        assert len(found.records) == 1
    assert len(read(write("all.jsonl", [RANKING, RANKING])).records) == 2


def test_columns_that_are_named_leave_the_others_out(write):
    path = write("rows.json", [RANKING | {"score": [1, 2, 3]}])
    names = {"prompt": "prompt", "completions": "completions"}
    (best_first,) = read(path, columns=names).records
    (by_score,) = read(path, columns=names | {"scores": "score"}).records
    assert best_first.completions[0][0].content == by_score.completions[-1][0].content == "best"


def test_an_empty_cell_of_ranks_beside_scores(write):
    assert ranked(write, ranks="", scores="[1, 2, 3]") == ["worst", "middle", "best"]


# Telling them apart


def test_every_layout_beside_another_is_ambiguous():
    for row, layouts in (
        (LABEL | PAIR, "strings, labels"),
        (RANKING | PAIR, "strings, ranking"),
        (LABEL | RANKING, "labels, ranking"),
    ):
        with pytest.raises(DataError, match=f"several layouts: {layouts}"):
            detected(row)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "1?", "completion": "yes"},
        {"prompt": "1?", "label": True},
        {"prompt": "1?", "completions": "first, second"},
        {"prompt": "1?", "completions": [{"text": "a"}, {"text": "b"}]},
        {"prompt": "1?", "completions": []},
        {"completion": "yes", "label": True},
        LABEL | {"prompt": "\n\nHuman: 1?\n\nAssistant:"},
        RANKING | {"prompt": "\n\nHuman: 1?\n\nAssistant:"},
    ],
)
def test_what_is_neither(row):
    assert detected(row) is None


def test_a_label_column_beside_a_pair_is_just_a_column():
    assert detected(PAIR | {"label": 1}) == "strings"


# Anything at all

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["role", "content"]), inner),
    max_leaves=8,
)
_answer = st.sampled_from(["a", "b", " "]) | st.sampled_from([dicts("a: c"), dicts("u: 1?", "a: d")]) | _json
_row = st.fixed_dictionaries(
    {},
    optional={
        "prompt": st.just("1?") | _json,
        "completion": _answer,
        "label": st.booleans() | _json,
        "completions": st.lists(_answer, max_size=4) | _json,
        "ranks": st.lists(st.integers(1, 3), max_size=4) | _json,
        "scores": st.lists(st.floats(), max_size=4) | _json,
        "w": st.floats() | _json,
    },
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_row, min_size=1, max_size=8), st.sampled_from(["labels", "ranking"]))
def test_any_rows_are_kept_or_set_aside(rows, layout):
    rows[0].setdefault("w", 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl")
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found = read(str(path), layout=layout, weight_column="w")
    kept = [record.provenance.line for record in found.records]
    assert sorted(kept + [row.line for row in found.set_aside]) == list(range(1, len(rows) + 1))
    for record in found.records:
        assert 0 < record.weight < float("inf")
        completions = [record.completion] if layout == "labels" else record.completions
        assert len(set(completions)) == len(completions)
        assert all(c[0].role == c[-1].role == "assistant" and c[-1].content.strip() for c in completions)
        if layout == "ranking":
            assert len(completions) >= 2
