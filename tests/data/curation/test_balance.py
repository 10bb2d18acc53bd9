"""Length balance: what is dropped, what is weighed, and that it is no more than needed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.data.curation.balance import (
    MAX_WEIGHT,
    balanced_by_dropping,
    balanced_by_weighing,
    length_figures,
)


def dropping(differences):
    return balanced_by_dropping(np.array(differences, np.int64), list(range(len(differences))))


def test_figures_by_hand():
    """Differences 3, 1, -1, 0: two of three longer; mean 3/4; variance (9 + 1 + 1) / 4 - 9/16 = 35/16."""
    figures = length_figures(np.array([3, 1, -1, 0]))
    assert figures.share_longer == pytest.approx(2 / 3)
    assert figures.mean_difference_characters == 0.75
    assert figures.effect_size == pytest.approx(0.75 / (35 / 16) ** 0.5)
    assert not figures.is_balanced


def test_weighted_figures_are_those_of_repeated_rows():
    once = length_figures(np.array([3, -1]), np.array([2.0, 3.0]))
    assert once.as_dict() == pytest.approx(length_figures(np.array([3, 3, -1, -1, -1])).as_dict())


def test_thirty_against_ten_of_one_size_leaves_ten_against_ten():
    """20 of 30 have to go for 50%; 52% of 20.8 would do with 10 of 20.8: 10.8 is no number, so 10 stay."""
    balance = dropping([5] * 30 + [-5] * 10)
    assert balance.dropped.sum() == 20
    assert balance.dropped[30:].sum() == 0
    assert balance.after.share_longer == 0.5


def test_it_takes_from_the_bin_with_the_most_too_many():
    """Of size 100 there are as many on both sides: only the pairs of size 5 are too many."""
    balance = dropping([100] * 20 + [-100] * 20 + [5] * 10)
    assert balance.dropped[:40].sum() == 0
    assert 0 < balance.dropped[40:].sum() <= 10


def test_what_is_balanced_loses_nothing():
    assert not dropping([4, -4, 7, -7, 0]).dropped.any()
    assert not dropping([]).dropped.any()
    assert not dropping([0, 0]).dropped.any()


def test_shorter_is_treated_as_longer_is():
    some = [1, 2, 4, 8, 16, -3, 30, 5, 5, -40, 12, 9]
    assert dropping(some).dropped.tolist() == dropping([-difference for difference in some]).dropped.tolist()


def test_one_sided_data_leave_nothing_unequal():
    balance = dropping([3, 9, 27])
    assert balance.dropped.all()
    assert balance.after.share_longer is None
    assert not balance.is_balanced
    assert dropping([3, 9, 27, 0]).is_balanced
    assert dropping([]).is_balanced


def test_hashes_decide_and_not_the_order():
    differences, hashes = [5] * 10 + [-5] * 4, [7 * i % 29 for i in range(14)]
    straight = balanced_by_dropping(np.array(differences), hashes)
    turned = balanced_by_dropping(np.array(differences[::-1]), hashes[::-1])
    assert straight.dropped.tolist() == turned.dropped.tolist()[::-1]


@given(st.lists(st.integers(-300, 300), max_size=60))
def test_within_bounds_at_the_first_moment(differences):
    """Of the pairs dropped, none of its side could have stayed: with the last back, it is out of bounds."""
    balance = dropping(differences)
    before, after = balance.before, balance.after
    assert after == length_figures(np.array(differences, np.int64)[~balance.dropped])
    if before.is_balanced:
        assert not balance.dropped.any()
    left = [difference for difference, gone in zip(differences, balance.dropped, strict=True) if not gone]
    if balance.dropped.any() and after.is_balanced:
        gone = [difference for difference, gone in zip(differences, balance.dropped, strict=True) if gone]
        assert any(not length_figures(np.array([*left, one])).is_balanced for one in gone)


@given(st.lists(st.integers(-300, 300), max_size=60))
def test_the_fewest_drops_where_only_the_share_is_off(differences):
    balance = dropping(differences)
    gone = np.sign(np.array(differences, np.int64)[balance.dropped])
    longer = sum(difference > 0 for difference in differences)
    shorter = sum(difference < 0 for difference in differences)
    if len(set(gone.tolist())) == 1:
        one_sided = max(longer, shorter) - len(gone)
        assert one_sided >= 0
    many, few = max(longer, shorter), min(longer, shorter)
    needed = next(
        k for k in range(many + 1) if few + many - k == 0 or abs((many - k) / (few + many - k) - 0.5) <= 0.02
    )
    assert len(gone) >= needed


def test_weights_make_both_sides_count_alike():
    """6 of +10 and 2 of -10: each side shall weigh 4, so 4/6 and 2."""
    balance = balanced_by_weighing(np.array([10] * 6 + [-10] * 2 + [0]), np.ones(9))
    assert balance.factors.tolist() == pytest.approx([2 / 3] * 6 + [2.0] * 2 + [1.0])
    assert balance.after.share_longer == pytest.approx(0.5)
    assert balance.after.is_balanced
    assert not balance.dropped.any()


@given(st.lists(st.tuples(st.integers(-300, 300), st.floats(0.1, 5)), min_size=1, max_size=50))
def test_weights_keep_their_mean_and_their_bounds(rows):
    differences, weights = (np.array(column) for column in zip(*rows, strict=True))
    balance = balanced_by_weighing(differences, weights)
    assert (weights * balance.factors).sum() == pytest.approx(weights.sum())
    assert balance.factors.max() / balance.factors.min() <= MAX_WEIGHT**2 * (1 + 1e-9)


def test_it_stops_where_no_bin_has_too_many():
    """64 and 76 are of one bin, ten of each side: dropping one would only unbalance the share."""
    balance = dropping([76] * 10 + [-64] * 10)
    assert not balance.dropped.any()
    assert not balance.after.is_balanced
