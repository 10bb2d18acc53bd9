"""Scores become pairs by a stated rule, and what makes no pair is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from said import said

from palate.data import PairRule, inspect_source, read_records, records_as
from palate.data.pairing import count_pairs, pairs_of_ranking, strict_ranking
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import Pair, Provenance, Ranking

PROMPT = said("u: 1?")
ROW = {"prompt": "1?", "completions": ["a", "b", "c", "d"], "scores": [9, 7, 7, 4]}
SHP = {"history": "1?", "human_ref_A": "a", "human_ref_B": "b", "labels": 1, "score_A": 30, "score_B": 10}


def ranking(*scores: float | None) -> Ranking:
    """Completions a, b, c... with these scores; without any where they are None."""
    completions = tuple(said(f"a: {letter}") for letter, _ in zip("abcdefgh", scores, strict=False))
    known = None if None in scores else tuple(score for score in scores if score is not None)
    return Ranking(PROMPT, completions, Provenance("x", 1, {"models": ["m"]}), 0.5, known)


def letters(pairs: tuple[Pair, ...]) -> list[str]:
    return [pair.chosen[0].content + pair.rejected[0].content for pair in pairs]


@pytest.mark.parametrize(
    ("rule", "expected", "num_tied", "num_below_gap"),
    [
        (PairRule(), ["ab", "ac", "ad", "bd", "cd"], 1, 0),
        (PairRule("best_worst"), ["ad"], 0, 0),
        (PairRule("neighbours"), ["ab", "cd"], 1, 0),
        # 9-7 = 2 is too close; 9-4 = 5, and twice 7-4 = 3, are not
        (PairRule(min_gap=3), ["ad", "bd", "cd"], 1, 2),
        (PairRule("neighbours", min_gap=2.5), ["cd"], 1, 1),
        (PairRule("best_worst", min_gap=6), [], 0, 1),
    ],
)
def test_the_pairs_of_9_7_7_4(rule, expected, num_tied, num_below_gap):
    made = pairs_of_ranking(ranking(9, 7, 7, 4), rule, where="x")
    assert (letters(made.pairs), made.num_tied, made.num_below_gap) == (expected, num_tied, num_below_gap)


def test_each_pair_says_its_places_and_scores_and_keeps_its_origin():
    (pair,) = pairs_of_ranking(ranking(9, 7), PairRule(score_margin=True), where="x").pairs
    assert (pair.margin, pair.weight) == (2, 0.5)
    assert pair.provenance == Provenance(
        "x", 1, {"models": ["m"], "places": [1, 2], "chosen_score": 9, "rejected_score": 7}
    )


def test_a_gap_is_no_margin_unless_it_is_asked_for():
    (pair,) = pairs_of_ranking(ranking(9, 7), PairRule(min_gap=1), where="x").pairs
    assert pair.margin is None


def test_decimal_fractions_do_not_fall_short_of_their_own_gap():
    """4.1 - 3.6 is 0.4999999999999996 in floating point."""
    assert 4.1 - 3.6 < 0.5
    assert len(pairs_of_ranking(ranking(4.1, 3.6), PairRule(min_gap=0.5), where="x").pairs) == 1
    assert len(pairs_of_ranking(ranking(4.1, 3.61), PairRule(min_gap=0.5), where="x").pairs) == 0


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=7), st.integers(1, 5))
def test_every_comparison_is_a_pair_or_is_counted(scores, least):
    found = ranking(*sorted(scores, reverse=True))
    for name, num_compared in (
        ("all", len(scores) * (len(scores) - 1) // 2),
        ("best_worst", 1),
        ("neighbours", len(scores) - 1),
    ):
        made = pairs_of_ranking(found, PairRule(name, min_gap=least), where="x")
        assert len(made.pairs) + made.num_tied + made.num_below_gap == num_compared
        gaps = [
            p.provenance.detail["chosen_score"] - p.provenance.detail["rejected_score"] for p in made.pairs
        ]
        assert all(gap >= least for gap in gaps)


@pytest.mark.parametrize(
    ("rule", "named"), [(PairRule(min_gap=2), "min_gap = 2"), (PairRule(score_margin=True), "score_margin")]
)
def test_a_gap_between_places_is_not_made_up(rule, named):
    with pytest.raises(DataError) as caught:
        records_as([ranking(None, None)], "pairs", where="rows.jsonl", rule=rule)
    assert caught.value.what == f"{named} has no effect: a ranking here has no scores"
    assert caught.value.where == "rows.jsonl"


@pytest.mark.parametrize("rule", [PairRule("neighbours"), PairRule(min_gap=1), PairRule(score_margin=True)])
def test_a_rule_for_pairs_does_nothing_to_whole_rankings(rule):
    with pytest.raises(DataError, match="have no effect: the objective learns from whole rankings"):
        records_as([ranking(3, 2)], "rankings", where="x", rule=rule)


def test_a_strict_ranking_keeps_the_first_of_those_that_tie_and_counts_the_others():
    strict = strict_ranking(ranking(9, 7, 7, 7, 4, 4))
    assert [c[0].content for c in strict.completions] == ["a", "b", "e"]
    assert (strict.scores, strict.provenance.detail["num_tied"]) == ((9, 7, 4), 3)
    (same,) = records_as([untied := ranking(9, 7, 4)], "rankings", where="x")
    assert same is untied


# From a file


def test_a_source_states_the_rule(write):
    path = write("rows.json", [ROW])
    options = SourceOptions(source=path, pair_rule="neighbours", min_gap=2.5, score_margin=True)
    records = read_records(options).records
    pairs = records_as(records, "pairs", where=path, rule=PairRule.of(options))
    assert [(pair.chosen[0].content, pair.margin) for pair in pairs] == [("c", 3.0)]
    assert count_pairs(records, PairRule.of(options), where=path) == {
        "num_pairs": 1,
        "num_tied": 1,
        "num_below_gap": 1,
    }


def test_ranks_are_scores_below_zero(write):
    path = write("rows.json", [{"prompt": "1?", "completions": ["c", "a", "b"], "ranks": [4, 1, 1]}])
    (found,) = read_records(SourceOptions(source=path)).records
    assert (letters(records_as([found], "pairs", where="x")), found.scores) == (["ac", "bc"], (-1, -1, -4))


def test_inspection_counts_what_the_rule_makes_and_drops(write):
    found = inspect_source(SourceOptions(source=write("rows.json", [ROW, ROW]), min_gap=3))
    assert found["counts"] | {"num_pairs": 6, "num_tied": 2, "num_below_gap": 4} == found["counts"]


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([3, 3, 1], "one completion stands both above and below another one, or beside it"),
        ([3, 2, 1], "one completion stands both above and below another one, or beside it"),
        ([3, 2, 3], ["a", "b"]),
        ([2, 3, 2], ["b", "a"]),
    ],
)
def test_a_completion_with_two_scores(write, scores, kept):
    """The completions are a, b and a again."""
    row = {"prompt": "1?", "completions": ["a", "b", "a"], "scores": scores}
    found = read_records(SourceOptions(source=write("rows.json", [row])))
    if isinstance(kept, str):
        assert found.set_aside[0].reason == kept
    else:
        assert [c[0].content for c in found.records[0].completions] == kept


# Pairs that state a gap


def test_a_pair_keeps_its_gap_and_it_becomes_the_margin_only_if_asked(write):
    path = write("rows.json", [SHP])
    (plain,) = read_records(SourceOptions(source=path)).records
    assert (plain.margin, plain.provenance.detail["gap"]) == (None, 20)
    (with_margin,) = read_records(SourceOptions(source=path, score_margin=True)).records
    assert with_margin.margin == 20


def test_pairs_that_are_too_close_are_set_aside_with_that_reason(write):
    rows = [SHP, SHP | {"score_A": 12}, SHP | {"score_A": None}]
    found = read_records(SourceOptions(source=write("rows.json", rows), min_gap=5))
    assert len(found.records) == 1
    assert [row.reason for row in found.set_aside] == [
        "chosen is better by less than min_gap = 5",
        "the row does not say by how much chosen is better",
    ]


def test_a_margin_below_zero_contradicts_the_row(write):
    path = write("rows.json", [SHP, SHP | {"labels": 0}])
    found = read_records(SourceOptions(source=path, score_margin=True))
    assert [row.reason for row in found.set_aside] == ["the row's scores say that rejected is the better one"]
    assert len(read_records(SourceOptions(source=path)).records) == 2


def test_inspection_says_where_gaps_lie(write):
    path = write("rows.json", [SHP, SHP | {"score_A": 14}])
    assert inspect_source(SourceOptions(source=path))["gap"] == {"min": 4, "median": 12, "max": 20}
    assert inspect_source(SourceOptions(source=path, score_margin=True))["margin"]["max"] == 20


PAIR = {"prompt": "1?", "chosen": "a", "rejected": "b"}
LABEL = {"prompt": "1?", "completion": "a", "label": True}


@pytest.mark.parametrize(
    ("row", "options", "what", "why"),
    [
        (PAIR, {"min_gap": 1}, "min_gap = 1 has no effect", "none of the first 1 rows says by how much"),
        (PAIR, {"score_margin": True}, "score_margin has no effect", "none of the first 1 rows says by how"),
        (PAIR, {"pair_rule": "neighbours"}, 'pair_rule = "neighbours" has no effect', "only rankings become"),
        (LABEL, {"min_gap": 1}, "min_gap = 1 has no effect", "a label compares its completion with none"),
        (LABEL, {"pair_rule": "best_worst"}, 'pair_rule = "best_worst" has no', "only rankings become"),
    ],
)
def test_an_option_the_rows_leave_without_effect(write, row, options, what, why):
    with pytest.raises(DataError) as caught:
        read_records(SourceOptions(source=write("rows.json", [row]), **options))
    assert caught.value.what.startswith(what)
    assert caught.value.why.startswith(why)


@pytest.mark.parametrize("gap", [0, -1, float("nan")])
def test_a_least_gap_is_above_zero(gap):
    with pytest.raises(ValidationError):
        SourceOptions(min_gap=gap)
