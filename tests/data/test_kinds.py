"""Which records can be had from which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from said import said

from palate.data import records_as
from palate.data.kinds import kind_of
from palate.errors import DataError
from palate.records import Labelled, Pair, Provenance, Ranking

ORIGIN = Provenance("rows.jsonl", 7, {"judge": "me"})
PROMPT, YES, NO, HM = said("u: 1?"), said("a: yes"), said("a: no"), said("a: hm")
PAIR = Pair(PROMPT, YES, NO, ORIGIN, margin=2.0, weight=0.5)
LABEL = Labelled(PROMPT, YES, True, ORIGIN, 0.5)
RANKING = Ranking(PROMPT, (YES, HM, NO), ORIGIN, 0.5)


@pytest.mark.parametrize(
    ("record", "kind"), [(PAIR, "pairs"), (LABEL, "labels"), (RANKING, "rankings")], ids=lambda x: str(x)[:8]
)
def test_records_of_the_kind_stay_what_they_are(record, kind):
    assert kind_of(record) == kind
    (same,) = records_as([record], kind, where="x")
    assert same is record


def test_a_pair_is_one_label_each_way():
    assert records_as([PAIR], "labels", where="x") == [
        Labelled(PROMPT, YES, True, ORIGIN, 0.5),
        Labelled(PROMPT, NO, False, ORIGIN, 0.5),
    ]


def test_a_pair_is_a_ranking_of_two():
    assert records_as([PAIR], "rankings", where="x") == [Ranking(PROMPT, (YES, NO), ORIGIN, 0.5)]


def test_a_ranking_is_all_its_ordered_pairs_and_they_know_their_places():
    pairs = records_as([RANKING], "pairs", where="x")
    assert [(pair.chosen, pair.rejected, pair.provenance.detail["places"]) for pair in pairs] == [
        (YES, HM, [1, 2]),
        (YES, NO, [1, 3]),
        (HM, NO, [2, 3]),
    ]
    assert {(pair.prompt_id, pair.weight, pair.margin) for pair in pairs} == {(RANKING.prompt_id, 0.5, None)}
    assert {(p.provenance.source, p.provenance.line, p.provenance.detail["judge"]) for p in pairs} == {
        ("rows.jsonl", 7, "me")
    }


@given(st.integers(2, 9))
def test_a_ranking_of_n_is_n_choose_two_pairs_and_no_preference_twice(num_completions):
    completions = tuple(said(f"a: {i}") for i in range(num_completions))
    pairs = records_as([Ranking(PROMPT, completions, ORIGIN)], "pairs", where="x")
    assert len({pair.id for pair in pairs}) == len(pairs) == num_completions * (num_completions - 1) // 2
    assert all(completions.index(pair.chosen) < completions.index(pair.rejected) for pair in pairs)


def test_the_order_of_records_is_kept():
    other = Pair(said("u: 2?"), YES, NO, ORIGIN)
    labels = records_as([PAIR, LABEL, other], "labels", where="x")
    assert [label.prompt[0].content for label in labels] == ["1?", "1?", "1?", "2?", "2?"]


@pytest.mark.parametrize(
    ("record", "kind", "what", "remedy"),
    [
        (LABEL, "pairs", "these are labels, and the objective needs pairs", "kto or bco"),
        (LABEL, "rankings", "these are labels, and the objective needs rankings", "kto or bco"),
        (RANKING, "labels", "these are rankings, and the objective needs labels", "plackett_luce or dpo"),
    ],
)
def test_what_is_not_in_the_data_is_not_made_up(record, kind, what, remedy):
    with pytest.raises(DataError) as caught:
        records_as([record], kind, where="rows.jsonl")
    assert (caught.value.what, caught.value.where) == (what, "rows.jsonl")
    assert remedy in caught.value.next
    assert caught.value.why


def test_remedies_name_objectives_that_there_are():
    from palate.data.kinds import _INSTEAD
    from palate.recipe import OBJECTIVES

    named = [
        word for text in _INSTEAD.values() for word in ("kto", "bco", "plackett_luce", "dpo") if word in text
    ]
    assert set(named) == {"kto", "bco", "plackett_luce", "dpo"}
    assert set(named) <= set(OBJECTIVES)
