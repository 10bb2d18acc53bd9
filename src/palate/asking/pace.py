"""How many requests and tokens go out in a minute: a sliding window, and pauses that hold for everyone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["WINDOW_SECONDS", "Pace", "Sent"]

WINDOW_SECONDS = 60.0


@dataclass(slots=True)
class Sent:
    """One request that went out; `tokens` is an estimate until somebody counted."""

    at: float
    tokens: int


class Pace:
    """Keeps to limits per minute in every window of 60 seconds, not only in those that a clock begins.

    A request that alone has more tokens than a minute may have goes out when the window is empty. Used by one
    thread.
    """

    def __init__(
        self,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_requests = requests_per_minute
        self._max_tokens = tokens_per_minute
        self._clock = clock
        self._sent: deque[Sent] = deque()
        self._held_until = -float("inf")

    def hold(self, seconds: float) -> None:
        """Nothing goes out for so long: the server has asked for a pause."""
        self._held_until = max(self._held_until, self._clock() + seconds)

    def seconds_to_wait(self, tokens: int) -> float:
        """How long at least until a request of so many tokens may go out; 0: now."""
        now = self._clock()
        # At exactly 60 seconds the old one still counts: whoever measures may include both ends.
        while self._sent and now - self._sent[0].at > WINDOW_SECONDS:
            self._sent.popleft()
        free_at = now
        if self._max_requests is not None and len(self._sent) >= self._max_requests:
            free_at = self._leaves(self._sent[len(self._sent) - self._max_requests])
        if self._max_tokens is not None and self._sent:
            over = sum(sent.tokens for sent in self._sent) + tokens - self._max_tokens
            for sent in self._sent:
                if over <= 0:
                    break
                over -= sent.tokens
                free_at = max(free_at, self._leaves(sent))
        return max(0.0, free_at - now, self._held_until - now)

    def take(self, tokens: int) -> Sent:
        """A request of so many tokens goes out now. Set `tokens` of what is returned when they are known."""
        sent = Sent(self._clock(), tokens)
        if self._max_requests is not None or self._max_tokens is not None:
            self._sent.append(sent)
        return sent

    @staticmethod
    def _leaves(sent: Sent) -> float:
        return sent.at + WINDOW_SECONDS + 0.001
