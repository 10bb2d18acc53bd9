"""How hard the server is pressed, by its own count."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from asking_scene import question, quick

from palate.asking import Endpoint, Limits
from palate.asking.outcomes import Outcome
from palate.asking.pace import Pace, Sent
from palate.asking.session import _pause_seconds
from running_server import RunningServer

Make = Callable[..., Endpoint]


@pytest.mark.parametrize("concurrency", [1, 5])
def test_never_more_in_flight_than_allowed(concurrency: int, server: RunningServer, endpoint: Make) -> None:
    asked = [question(f"{n} <<slow:0.02>>") for n in range(40)]
    assert len(list(endpoint(limits={"concurrency": concurrency}).ask(asked))) == 40
    assert max(arrival["in_flight"] for arrival in server.arrivals()) == concurrency


class Watched(Pace):
    """Notes when it let requests go and when it was told to pause, by the clock that it goes by."""

    def __init__(self, *limits: int | None) -> None:
        super().__init__(*limits)
        self.taken: list[float] = []
        self.held: list[tuple[float, float]] = []

    def take(self, tokens: int) -> Sent:
        self.taken.append(time.monotonic())
        return super().take(tokens)

    def hold(self, seconds: float) -> None:
        super().hold(seconds)
        self.held.append((time.monotonic(), seconds))


def test_a_minute_has_no_more_requests_than_allowed(
    server: RunningServer, endpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The minute is shortened to 0.4 seconds; of any five requests in a row two are as far apart."""
    monkeypatch.setattr("palate.asking.pace.WINDOW_SECONDS", 0.4)
    here = endpoint(limits={"concurrency": 20})
    here._shared.pace = watched = Watched(4)
    assert len(list(here.ask([question(str(n)) for n in range(13)]))) == 13
    assert len(server.arrivals()) == len(watched.taken) == 13
    assert all(
        later - earlier >= 0.4 for earlier, later in zip(watched.taken, watched.taken[4:], strict=False)
    )


def test_limits_per_minute_reach_the_pace(endpoint: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = endpoint(limits={"requests_per_minute": 3, "tokens_per_minute": 50})._shared.pace
    pace.take(50)
    assert pace.seconds_to_wait(1) > 0
    pace = endpoint(limits={"requests_per_minute": 1})._shared.pace
    pace.take(50)
    assert pace.seconds_to_wait(1) > 0


def test_one_request_that_is_too_many_slows_everyone(endpoint: Make) -> None:
    """Once the server has asked for half a second of quiet, nobody asks anything for as long."""
    here = endpoint(limits={"concurrency": 3})
    here._shared.pace = watched = Watched()
    asked = [question("<<busy:0.5;ok>>"), *(question(f"{n} <<slow:0.02>>") for n in range(30))]
    assert {reply.status for reply in here.ask(asked)} == {"answered"}
    [(held_at, seconds)] = watched.held
    assert seconds >= 0.5
    assert [at for at in watched.taken if held_at < at < held_at + 0.5] == []
    assert len([at for at in watched.taken if at >= held_at + 0.5]) > 10


def test_pauses_double_up_to_a_bound_and_a_server_may_ask_for_more() -> None:
    limits = Limits(first_backoff_seconds=1, max_backoff_seconds=10, max_retry_after_seconds=100)
    for number, longest in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (1000, 10)]:
        for _ in range(20):
            assert longest / 2 <= _pause_seconds(limits, number, Outcome("again")) <= longest
    assert 30 <= _pause_seconds(limits, 1, Outcome("again", retry_after_seconds=30)) <= 31
    assert 100 <= _pause_seconds(limits, 1, Outcome("again", retry_after_seconds=86400)) <= 101
    assert quick().first_backoff_seconds == 0.01
