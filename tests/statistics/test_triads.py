"""Triads that go round: by hand, one by one, and on the titles that 1,140 comparisons are about."""

from __future__ import annotations

import ast
import csv
import random
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.statistics.triads import Totals, beats_all, circular_triads, count_triads, over_prompts

TITLES = Path(__file__).parents[2].parent / "shared" / "data" / "youtube_titles" / "preferences.csv"


def _triads_one_by_one(edges: list[tuple[int, int]]) -> tuple[int, int]:
    """Circular and transitive triads by looking at every triple."""
    beats, circular, transitive = set(edges), 0, 0
    for triple in combinations(sorted({end for edge in edges for end in edge}), 3):
        wins = [sum((one, other) in beats for other in triple) for one in triple]
        if sum(wins) == 3:  # all three compared
            circular += wins == [1, 1, 1]
            transitive += wins != [1, 1, 1]
    return circular, transitive


@settings(deadline=None)
@given(st.integers(3, 9), st.randoms(use_true_random=False), st.floats(0, 1))
def test_triads_are_those_found_one_by_one(num, rng, density):
    edges = [
        (a, b) if rng.random() < 0.5 else (b, a)
        for a, b in combinations(range(num), 2)
        if rng.random() <= density
    ]
    found = count_triads(edges)
    assert (found.num_circular, found.num_transitive) == _triads_one_by_one(edges)
    if found.num_circular:
        assert found.example is not None
        (a, b), (c, d), (e, f) = (edges[place] for place in found.example)
        assert (b, d, f) == (c, e, a)


def test_consistency_is_none_of_the_most_that_can_go_round():
    """Five completions, each beating the next two: C(5,3) - 5 * C(2,2) = 5 triads go round: the most."""
    found = count_triads([(a, (a + step) % 5) for a in range(5) for step in (1, 2)])
    assert (found.num_circular, found.num_transitive, found.consistency) == (5, 5, 0)
    # Of four completions at most two can: 24 * 2 / (64 - 16) = 1.
    assert count_triads([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (1, 3)]).consistency == 0


def test_a_thousand_completions_of_one_prompt():
    """Each beats those up to 500 further on, round a circle of 1,001: C(n,3) - n * C(500,2) go round."""
    num, reach = 1001, 500
    found = count_triads([(a, (a + step) % num) for a in range(num) for step in range(1, reach + 1)])
    all_triples = num * (num - 1) * (num - 2) // 6
    assert found.num_transitive == num * reach * (reach - 1) // 2
    assert found.num_circular == all_triples - found.num_transitive
    assert found.consistency == 0


@pytest.mark.parametrize(
    ("preferences", "ties", "expected"),
    [
        ("ab bc ca", "", (1, 0, 3)),
        ("ab bc ac", "", (0, 1, 3)),
        ("ab bc ca ca ac ac ac", "", (0, 1, 3)),  # three to two for a over c
        ("ab bc ca ac", "", (0, 0, 2)),  # level: not decided, so no triad
        ("ab bc", "ca", (0, 0, 2)),
        ("ab bc ca", "ca ca ca", (1, 0, 3)),  # a tie decides nothing, not even against a preference
        ("ab bc ca ab bc", "ad", (1, 0, 3)),
        ("", "", (0, 0, 0)),
    ],
)
def test_majorities_by_hand(preferences, ties, expected):
    found = circular_triads(map(tuple, preferences.split()), map(tuple, ties.split()))
    assert (found.num_circular, found.num_transitive, found.num_decided) == expected


def test_consistency_only_where_all_were_compared_and_none_is_level():
    assert circular_triads([("a", "b"), ("b", "c"), ("a", "c")]).consistency == 1
    assert circular_triads([("a", "b"), ("b", "c"), ("c", "a")]).consistency == 0
    assert circular_triads([("a", "b"), ("b", "c")]).consistency is None
    assert circular_triads([("a", "b"), ("b", "c")], [("a", "c")]).consistency is None
    assert circular_triads([("a", "b")]).consistency is None
    # A fourth that is known from a tie only was not compared with the other two.
    assert circular_triads([("a", "b"), ("b", "c"), ("a", "c")], [("a", "d")]).consistency is None


@pytest.mark.parametrize(
    ("preferences", "ties", "best"),
    [
        ("ab bc ac", "", "a"),
        ("ab bc ca", "", None),
        ("ab ac", "", "a"),  # who beats all others need not know how those stand to each other
        ("ab", "ac", None),
        ("ab ba ab ac", "", "a"),
        ("ab ba ac", "", None),
        ("ab", "", "a"),
        ("", "ab", None),
        ("", "", None),
    ],
)
def test_who_beats_all_others(preferences, ties, best):
    assert beats_all(map(tuple, preferences.split()), map(tuple, ties.split())) == best


def test_nobody_is_better_than_himself():
    with pytest.raises(ValueError, match="compared with itself"):
        circular_triads([("a", "a")])


def test_totals_by_hand():
    """Two prompts of three completions, one going round, and one that has nothing but a tie."""
    preferences = {"x": [("a", "b"), ("b", "c"), ("c", "a")], "y": [("a", "b"), ("b", "c"), ("a", "c")]}
    totals = over_prompts(preferences, {"z": [("a", "b")]})
    assert totals == Totals(
        num_prompts=3,
        num_triads=2,
        num_circular=1,
        num_prompts_circular=1,
        num_prompts_with_best=1,
        num_complete=2,
        consistency=0.5,
    )
    assert totals.share_circular == 0.5
    assert over_prompts({}) == Totals(0, 0, 0, 0, 0, 0, None)
    assert over_prompts({}).share_circular is None


def test_tossed_coins_make_a_quarter():
    rng = random.Random(0)
    coins = {
        prompt: [(a, b) if rng.random() < 0.5 else (b, a) for a, b in combinations("abcde", 2)]
        for prompt in range(2_000)
    }
    assert over_prompts(coins).share_circular == pytest.approx(0.25, abs=0.015)


def test_the_titles():
    if not TITLES.exists():
        pytest.skip("preferences.csv is not at hand: it is looked for in ../shared/data")
    preferences = defaultdict(list)
    with TITLES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            winner, loser = (ast.literal_eval(row[side])[0]["content"] for side in ("chosen", "rejected"))
            preferences[row["idea"]].append((winner, loser))
    totals = over_prompts(preferences)
    assert (totals.num_prompts, totals.num_triads, totals.num_circular) == (114, 1140, 68)
    assert (totals.num_prompts_circular, totals.num_prompts_with_best) == (41, 91)
