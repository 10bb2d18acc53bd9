"""How many comparisons a given interval takes: at that number it is met, at one fewer it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.errors import CallError
from palate.statistics.sample_size import comparisons_for_interval
from palate.statistics.win_rates import Outcome, wilson_interval, win_rate


def width(wins: float, losses: float, ties: float) -> float:
    low, high = wilson_interval(wins, losses, ties)
    return high - low


def test_the_textbook_number_at_one_half() -> None:
    """Wilson's half-width at p = 1/2 is z / (2 sqrt(N + z^2)): 0.03 takes N = (z / 0.06)^2 - z^2 = 1063.3."""
    nothing = win_rate([])
    assert comparisons_for_interval(nothing, 0.03) == 1064
    assert comparisons_for_interval(nothing, 0.1) == 93  # 96.04 - 3.84 = 92.2
    assert comparisons_for_interval(win_rate(["win", "loss"] * 50), 0.03) == 1064 - 100


@given(
    st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.01, 0.03, 0.05, 0.1, 0.2])
)
def test_so_many_are_enough_and_one_fewer_is_not(wins: int, losses: int, ties: int, half: float) -> None:
    outcomes: list[Outcome] = ["win"] * wins + ["loss"] * losses + ["tie"] * ties
    if not outcomes:
        return
    more, n = comparisons_for_interval(win_rate(outcomes), half), len(outcomes)

    def scaled(num: int) -> float:
        return width(wins * num / n, losses * num / n, ties * num / n)

    if more == 0:
        assert scaled(n) <= 2 * half
    else:
        assert scaled(n + more) <= 2 * half * (1 + 1e-9) < scaled(n + more - 1) * (1 + 1e-6)


def test_comparisons_that_hang_together_are_worth_less() -> None:
    """Twenty prompts of ten that go the same way are twenty witnesses: about ten times as many are needed."""
    outcomes: list[Outcome] = (["win"] * 10 + ["loss"] * 10) * 10
    alone = comparisons_for_interval(win_rate(outcomes), 0.03) + 200
    together = comparisons_for_interval(win_rate(outcomes, [n // 10 for n in range(200)]), 0.03) + 200
    assert 9 < together / alone < 14


@pytest.mark.parametrize("half", [0.0, -0.1, 0.5, 3.0])
def test_a_width_that_is_none(half: float) -> None:
    with pytest.raises(CallError, match="either way"):
        comparisons_for_interval(win_rate(["win"]), half)
