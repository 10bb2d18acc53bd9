"""What a judge's errors make of a win rate, undone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.statistics.corrected import AgreementCorrected, agreement_corrected_win_rate


def corrected(wins: int, losses: int, right: int, wrong: int) -> AgreementCorrected:
    """Each comparison on a prompt of its own; people voted on the first ones."""
    scores = [1.0] * wins + [0.0] * losses
    rights = [1.0] * right + [0.0] * wrong
    return agreement_corrected_win_rate(scores, range(len(scores)), rights, range(len(rights)))


def test_by_hand() -> None:
    """p = 60 / 100, a = 40 / 50 = 0.8: (0.6 + 0.8 - 1) / (1.6 - 1) = 0.4 / 0.6."""
    found = corrected(60, 40, 40, 10)
    assert found.win_rate == pytest.approx(2 / 3)
    assert (found.accuracy, found.num_known) == (0.8, 50)
    low, high = found.interval_95
    assert low < 2 / 3 < high
    plain = corrected(60, 40, 50, 0)
    assert plain.win_rate == pytest.approx(0.6), "a judge who is always right says what is"
    assert high - low > plain.interval_95[1] - plain.interval_95[0]


def test_half_right_ties() -> None:
    """Rights 1, 1, 0.5, 0.5 are an accuracy of 0.75; p = 0.5 stays 0.5 whatever the accuracy."""
    found = agreement_corrected_win_rate([1.0, 0.0, 0.5, None], "abcd", [1.0, 1.0, 0.5, 0.5], "abcd")
    assert (found.accuracy, found.win_rate) == (0.75, 0.5)


@pytest.mark.parametrize(("right", "wrong"), [(10, 10), (4, 16)])
def test_a_coin_tells_nothing(right: int, wrong: int) -> None:
    found = corrected(60, 40, right, wrong)
    assert found.win_rate is None and found.interval_95 is None
    assert "no more than a coin" in found.reason
    assert found.accuracy == right / 20


def test_a_judge_hardly_known_leaves_all_open() -> None:
    assert corrected(60, 40, 3, 2).interval_95 == (0.0, 1.0)


def test_nothing_to_go_by() -> None:
    assert corrected(5, 5, 0, 0).reason == "people preferred a side of nothing that was judged"
    assert agreement_corrected_win_rate([None], "a", [1.0], "a").reason == "there is no verdict"
    alone = agreement_corrected_win_rate([1.0, 1.0], "aa", [1.0], "a")
    assert alone.win_rate is None and "one prompt" in alone.reason


def test_more_votes_make_it_narrower_and_never_narrower_than_the_win_rate_alone() -> None:
    widths = [np.diff(corrected(120, 80, 8 * n, 2 * n).interval_95)[0] for n in (2, 5, 20)]
    assert widths[0] > widths[1] > widths[2]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 40), st.integers(0, 40))
def test_swapping_the_sides_mirrors_it(wins: int, losses: int, right: int, wrong: int) -> None:
    one = corrected(wins, losses, right, wrong)
    other = agreement_corrected_win_rate(
        [0.0] * wins + [1.0] * losses,
        range(wins + losses),
        [1.0] * right + [0.0] * wrong,
        range(right + wrong),
    )
    if one.win_rate is None:
        assert other.win_rate is None
        return
    assert one.win_rate == pytest.approx(1 - other.win_rate)
    assert 0 <= one.interval_95[0] <= one.win_rate <= one.interval_95[1] <= 1


@pytest.mark.parametrize(("right", "wrong"), [(50, 0), (45, 5), (35, 15)])
def test_whether_sides_are_level_does_not_hang_on_how_good_the_judge_is(right: int, wrong: int) -> None:
    """At 50% the judge's errors cancel: only p counts, of 99.5 effective comparisons. Of 60 in 100 it is
    4 * 0.1^2 * 99.5 = 3.98 > 1.96^2 = 3.84, of 59 it is 3.22."""
    assert corrected(60, 40, right, wrong).interval_95[0] >= 0.5
    assert corrected(59, 41, right, wrong).interval_95[0] < 0.5 - 1e-3


def test_an_estimate_out_of_range_still_has_an_interval() -> None:
    """p = 0.98 and a = 0.7 cannot be at once: it takes p <= a. The best there is, 1, is not all there is."""
    found = corrected(98, 2, 35, 15)
    assert found.win_rate == 1
    low, high = found.interval_95
    assert low < 0.99 and high == 1


def test_votes_on_the_same_comparisons_tell_more_than_votes_on_others() -> None:
    """The judge's errors move p and a together, where people voted on what was judged."""
    wins = [1.0] * 85 + [0.0] * 15
    rights = [1.0] * 80 + [0.0] * 5 + [1.0] * 10 + [0.0] * 5
    same = agreement_corrected_win_rate(wins, range(100), rights, range(100))
    apart = agreement_corrected_win_rate(wins, range(100), rights, range(100, 200))
    assert same.win_rate == apart.win_rate
    assert np.diff(same.interval_95)[0] < 0.95 * np.diff(apart.interval_95)[0]


def test_answers_to_one_prompt_are_not_independent_witnesses() -> None:
    scores, rights = [1.0] * 60 + [0.0] * 40, [1.0] * 40 + [0.0] * 10
    apart = agreement_corrected_win_rate(scores, range(100), rights, range(50))
    together = agreement_corrected_win_rate(scores, [row // 5 for row in range(100)], rights, range(50))
    assert np.diff(together.interval_95)[0] > 1.3 * np.diff(apart.interval_95)[0]
