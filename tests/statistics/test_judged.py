"""Figures of judgements: by hand, and their interval by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.statistics.judged import judged_win_rate
from palate.statistics.win_rates import score_interval


def test_by_hand() -> None:
    """Scores 1, 1, 0, .5, missing: mean .625, sd sqrt(.6875 / 3), so the error is .2394."""
    found = judged_win_rate([1.0, 1.0, 0.0, 0.5, None], list("abcde"))
    assert found.win_rate == found.discrete_win_rate == 0.625
    assert found.standard_error == pytest.approx(math.sqrt(0.6875 / 3) / 2)
    counts = found.counts
    assert (counts.num_wins, counts.num_losses, counts.num_ties, counts.num_missing) == (2, 1, 1, 1)
    assert not found.is_soft
    assert found.interval_95 == counts.interval_95


def test_soft_scores_have_a_mean_and_sides() -> None:
    found = judged_win_rate([0.9, 0.6, 0.2, 0.5], list("abcd"))
    assert found.is_soft
    assert found.win_rate == pytest.approx(0.55)
    assert found.discrete_win_rate == 0.625


def test_a_judges_probabilities_give_wilsons_interval_where_they_are_certain() -> None:
    """Scores of almost 0 and 1 are plain wins and losses, but that their variance is estimated.

    With half a prompt beside the 20: the rate is 12.25 / 20.5 = .59756, the sum of squares
    12 * .40244^2 + 8 * .59756^2 + (.40244^2 + .59756^2) / 4 = 4.9299, the variance
    20.5 / 19.5 * 4.9299 / 20.5^2 = .012332, and .59756 * .40244 / .012332 = 19.50: worth 19.5 comparisons of
    which 60% were won. Student's quantile of 20 degrees of freedom is 2.0860.
    """
    scores = [0.999999] * 12 + [0.000001] * 8
    low, high = judged_win_rate(scores, range(20)).interval_95
    plain = score_interval(11.7, 7.8, 0, 2.0860)
    assert (low, high) == pytest.approx(plain, abs=1e-4)


def test_the_interval_of_soft_scores_holds_the_truth() -> None:
    """400 tables of 60 judgements by a judge that is half sure: 95% +- 4 times 1.1 points."""
    held = 0
    for seed in range(400):
        generator = np.random.default_rng(seed)
        scores = generator.beta(1.2, 0.8, 60)
        low, high = judged_win_rate(scores.tolist(), range(60)).interval_95
        held += low <= 0.6 <= high
    assert 0.905 <= held / 400 <= 0.99


def test_judgements_of_one_prompt_are_no_more_than_one() -> None:
    scores = [0.9, 0.2, 0.7, 0.4, 0.8]
    once = judged_win_rate(scores, range(5))
    thrice = judged_win_rate(scores * 3, [*range(5)] * 3)
    assert thrice.win_rate == pytest.approx(once.win_rate)
    assert thrice.standard_error == pytest.approx(once.standard_error)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=30))
def test_turned_round_it_says_the_opposite(scores: list[float | None]) -> None:
    prompts = range(len(scores))
    one = judged_win_rate(scores, prompts)
    other = judged_win_rate([None if score is None else 1 - score for score in scores], prompts)
    assert (one.counts.num_missing, one.win_rate is None) == (
        other.counts.num_missing,
        other.win_rate is None,
    )
    if one.win_rate is not None and other.win_rate is not None:
        assert one.win_rate + other.win_rate == pytest.approx(1)
        assert 0 <= one.interval_95[0] <= one.win_rate + 1e-9
        assert one.win_rate - 1e-9 <= one.interval_95[1] <= 1


def test_lengths_are_optional() -> None:
    assert judged_win_rate([1.0, 0.0], "ab").length_controlled is None
    controlled = judged_win_rate([1.0, 0.0, 1.0], "abc", [3.0, -2.0, 5.0]).length_controlled
    assert controlled is not None
    assert controlled.win_rate is not None


def test_one_seed_one_interval() -> None:
    scores = [0.1, 0.7, 0.3, 1.0]
    one, again = (judged_win_rate(scores, "abcd", seed=1) for _ in range(2))
    assert one == again
    assert judged_win_rate(scores, "abcd", seed=2).bootstrap_interval_95 != one.bootstrap_interval_95
    assert judged_win_rate([1.0, 1.0], "aa").bootstrap_interval_95 is None
