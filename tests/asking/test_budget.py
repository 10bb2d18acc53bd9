"""What is spent and set aside never passes the limit."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.asking import Budget
from palate.errors import CallError


def test_the_worst_case_is_set_aside_and_given_back() -> None:
    budget = Budget(tokens=100)
    first = budget.reserve(0, 60)
    assert first is not None
    assert budget.reserve(0, 41) is None
    assert budget.may_fit_later(0, 41)
    first.settle(0, 10)
    assert budget.spent_tokens == 10
    assert budget.reserve(0, 91) is None
    assert not budget.may_fit_later(0, 91)
    assert budget.reserve(0, 90) is not None


def test_what_is_not_settled_is_free_again_and_what_nobody_knows_counts_whole() -> None:
    budget = Budget(money=1.0)
    reservation = budget.reserve(0.4, 5)
    assert reservation is not None
    with reservation:
        pass
    assert (budget.spent_money, budget.spent_tokens) == (0.0, 0)
    reservation = budget.reserve(0.4, 5)
    assert reservation is not None
    with reservation:
        reservation.settle_at_worst()
    assert (budget.spent_money, budget.spent_tokens) == (0.4, 5)
    assert budget.in_words() == "0.4 of 1 spent"


def test_ten_tenths_fit_into_one() -> None:
    """0.1 ten times is 0.9999999999999999 or 1.0000000000000002, as floats go."""
    budget = Budget(money=1.0)
    for _ in range(10):
        reservation = budget.reserve(0.1, 0)
        assert reservation is not None
        reservation.settle_at_worst()
    assert budget.reserve(0.001, 0) is None


@pytest.mark.parametrize("limit", [-1, math.nan, math.inf])
def test_a_limit_is_a_number(limit: float) -> None:
    with pytest.raises(CallError, match="budget"):
        Budget(money=limit)


@given(
    st.integers(0, 300),
    st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1), st.integers(0, 3)), max_size=60),
)
def test_it_is_never_passed(limit: int, steps: list[tuple[int, float, int]]) -> None:
    budget = Budget(money=limit, tokens=limit)
    open_ones = []
    for tokens, share, what in steps:
        if reservation := budget.reserve(tokens, tokens):
            open_ones.append((reservation, tokens, share))
        for _ in range(min(what, len(open_ones))):
            done, worst, used = open_ones.pop(0)
            done.settle(worst * used, int(worst * used))
        held = sum(worst for _, worst, _ in open_ones)
        assert budget.spent_tokens + held <= limit
        assert budget.spent_money + held <= limit * (1 + 1e-8)
