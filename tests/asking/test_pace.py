"""Limits per minute, on a clock that the test turns."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from palate.asking.pace import WINDOW_SECONDS, Pace


class Clock:
    """Stands still until it is told to sleep."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def go(pace: Pace, clock: Clock, tokens: int) -> float:
    """Wait as long as it takes, send, and say when that was."""
    for _ in range(1000):
        seconds = pace.seconds_to_wait(tokens)
        if not seconds:
            pace.take(tokens)
            return clock.now
        clock.now += seconds
    raise AssertionError("it never goes out")


def test_the_third_of_two_a_minute_waits_until_the_first_has_left() -> None:
    clock = Clock()
    pace = Pace(requests_per_minute=2, clock=clock)
    assert [go(pace, clock, 1), go(pace, clock, 1)] == [1000.0, 1000.0]
    assert 1060.0 < go(pace, clock, 1) < 1060.1


def test_tokens_count_by_themselves_and_a_correction_makes_room() -> None:
    clock = Clock()
    pace = Pace(tokens_per_minute=100, clock=clock)
    first = pace.take(80)
    assert pace.seconds_to_wait(30) > 60
    first.tokens = 70
    assert pace.seconds_to_wait(30) == 0
    first.tokens = 71
    assert pace.seconds_to_wait(30) > 60


def test_one_that_is_larger_than_a_minute_goes_alone() -> None:
    clock = Clock()
    pace = Pace(tokens_per_minute=100, clock=clock)
    assert go(pace, clock, 500) == 1000.0
    assert 1060.0 < go(pace, clock, 1) < 1060.1
    assert 1120.0 < go(pace, clock, 500) < 1120.2


def test_a_pause_holds_for_everyone_and_a_shorter_one_does_not_end_it() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    assert pace.seconds_to_wait(1) == 0
    pace.hold(7)
    pace.hold(2)
    assert pace.seconds_to_wait(1) == 7
    clock.now += 7
    assert pace.seconds_to_wait(1) == 0


@given(
    st.integers(1, 5),
    st.integers(1, 100),
    st.lists(st.tuples(st.integers(1, 100), st.floats(0, 40)), max_size=40),
)
def test_no_window_of_a_minute_has_more_than_the_limits(
    max_requests: int, max_tokens: int, plan: list[tuple[int, float]]
) -> None:
    clock = Clock()
    pace = Pace(max_requests, max_tokens, clock)
    sent = []
    for tokens, idle_seconds in plan:
        clock.now += idle_seconds
        sent.append((go(pace, clock, tokens), tokens))
    for start, _ in sent:
        window = [tokens for at, tokens in sent if start <= at <= start + WINDOW_SECONDS]
        assert len(window) <= max_requests
        assert sum(window) <= max_tokens or len(window) == 1
    assert all(before[0] <= after[0] for before, after in pairwise(sent))
