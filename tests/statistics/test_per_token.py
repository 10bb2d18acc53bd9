"""A mean per token over texts: worked out by hand, and what must hold whatever the texts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.statistics.per_token import per_token, positive_per_token

Units = list[tuple[float, int]]
units = st.lists(st.tuples(st.floats(0.01, 100), st.integers(1, 200)), min_size=2, max_size=12)


def test_a_mean_per_token_by_hand() -> None:
    """Units of 6/2, 4/2 and 2/1: 12 / 5 = 2.4. Residuals 1.2, -0.8, -0.4 over 1 - share of tokens are
    2, -1.3333, -0.5, and over 5 tokens 0.4, -0.2667, -0.1: the error is the root of the sum of squares,
    0.49103. The sum of cubes 0.04404 is 0.37196 cubes of that: the upper end lies 1.37196 times as far as
    the lower. t(0.975, 2) = 4.30265 makes the half 2.11273."""
    value, interval = per_token([6, 4, 2], [2, 2, 1])
    assert value == pytest.approx(2.4)
    assert interval == pytest.approx((2.4 - 2.11273, 2.4 + 2.11273 * 1.37196), abs=1e-4)


def test_a_positive_mean_by_hand() -> None:
    """1, 2 and 4 of one token each: mean 7/3, and the error by the same way is 1.08012, with a third moment
    of 0.22044. 4.30265 * 1.08012 / (7/3) = 1.99174 on the logarithm, and upwards 1.22044 times that. The
    log-normal way says less: above the median 2 lies 4, ln(2)^2 * 3/2 = 0.72068, and 4.30265 times the root
    of ln(1 + (e^0.72068 - 1) / 3) is 2.3625."""
    value, interval = positive_per_token([1, 2, 4], [1, 1, 1])
    assert value == pytest.approx(7 / 3)
    expected = (7 / 3 * math.exp(-1.99174), 7 / 3 * math.exp(1.99174 * 1.22044))
    assert interval == pytest.approx(expected, rel=1e-4)


def test_what_is_skewed_above_the_median_reaches_further() -> None:
    """1, 1, 1, 2, 4, 6, 6: above the median 2 lie ln 2, ln 3 and ln 3 further up; the mean square is 0.96478,
    times 7/6 1.12558. ln(1 + (e^1.12558 - 1) / 7) = 0.26038, its root 0.51028, and t(0.975, 6) = 2.44691
    times that 1.24860; Student's way, with the third moment, says 0.89643."""
    value, interval = positive_per_token([1, 1, 1, 2, 4, 6, 6], [1] * 7)
    assert value == 3
    assert interval is not None
    assert interval[1] == pytest.approx(3 * math.exp(1.24860), rel=1e-4)


def test_nothing_to_take_an_interval_from() -> None:
    assert per_token([3.0], [2]) == (1.5, None)
    assert positive_per_token([3.0], [2]) == (1.5, None)
    assert positive_per_token([0.0, 0.0], [2, 3]) == (0, (0, 0))


@given(units)
def test_the_interval_holds_the_mean_and_a_positive_one_is_never_0(found: Units) -> None:
    sums, counts = [value for value, _ in found], [count for _, count in found]
    value, interval = per_token(sums, counts)
    positive, within = positive_per_token(sums, counts)
    assert positive == value == pytest.approx(sum(sums) / sum(counts))
    assert interval is not None and interval[0] <= value <= interval[1]
    assert within is not None and 0 < within[0] <= value <= within[1] < math.inf


@given(units, st.floats(0.01, 100), st.randoms(use_true_random=False))
def test_units_in_another_order_or_another_unit_say_the_same(found: Units, factor: float, draw) -> None:  # type: ignore[no-untyped-def]
    sums, counts = [value for value, _ in found], [count for _, count in found]
    _, interval = positive_per_token(sums, counts)
    assert interval is not None
    mixed = draw.sample(found, len(found))
    _, other = positive_per_token([factor * value for value, _ in mixed], [count for _, count in mixed])
    assert other == pytest.approx((factor * interval[0], factor * interval[1]), rel=1e-6)


@given(units)
def test_turned_round_it_is_mirrored(found: Units) -> None:
    """What is below the mean may be the skewed side as well."""
    sums, counts = [value for value, _ in found], [count for _, count in found]
    _, interval = per_token(sums, counts)
    _, other = per_token([-value for value in sums], counts)
    assert interval is not None and other is not None
    assert other == pytest.approx((-interval[1], -interval[0]))


def test_a_text_of_nearly_all_tokens_does_not_agree_with_itself() -> None:
    """One text of 1,000 tokens makes the mean; the three beside it say that texts differ."""
    _, interval = per_token([3000.0, 10, 20, 10], [1000, 10, 10, 10])
    _, even = per_token([30.0, 10, 20, 10], [10, 10, 10, 10])
    assert interval is not None and even is not None
    assert interval[1] - interval[0] > 0.5 * (even[1] - even[0])
