"""What may be spent: the worst case of a request is set aside before it is sent."""

from __future__ import annotations

import math
import threading
from types import TracebackType
from typing import Self

from palate.errors import CallError

__all__ = ["Budget", "Reservation"]


class Budget:
    """An amount of money, of tokens, or both, for everything that shares this object; None: no limit.

    What is spent and what is set aside for requests in flight never add up to more than the limit. As the
    worst case of a request counts its prompt, estimated, and all of `max_tokens`; so the limit can be passed
    only by as much as the estimates of prompts are too low. Responses from the store cost nothing. Several
    threads may share one.

    Raises:
        CallError: a limit is negative or no number.
    """

    def __init__(self, money: float | None = None, tokens: int | None = None) -> None:
        for name, limit in (("money", money), ("tokens", tokens)):
            if limit is not None and not (limit >= 0 and math.isfinite(limit)):
                raise CallError(f"a budget of {limit} {name}: it has to be a number that is not negative")
        self.money, self.tokens = money, tokens
        self.spent_money, self.spent_tokens = 0.0, 0
        self._held_money, self._held_tokens = 0.0, 0
        self._lock = threading.Lock()

    def reserve(self, money: float, tokens: int) -> Reservation | None:
        """Set a worst case aside; None where it does not fit beside what is spent and set aside."""
        with self._lock:
            if not self._fits(self._held_money + money, self._held_tokens + tokens):
                return None
            self._held_money += money
            self._held_tokens += tokens
        return Reservation(self, money, tokens)

    def may_fit_later(self, money: float, tokens: int) -> bool:
        """Whether it would fit once all that is in flight is back, and had cost nothing."""
        with self._lock:
            return self._fits(money, tokens)

    def in_words(self) -> str:
        """What is left of what, for a reason."""
        parts = []
        if self.money is not None:
            parts.append(f"{self.spent_money:.6g} of {self.money:g} spent")
        if self.tokens is not None:
            parts.append(f"{self.spent_tokens} of {self.tokens} tokens spent")
        return ", ".join(parts)

    def _fits(self, money: float, tokens: int) -> bool:
        slack = 1e-9 * (self.money or 0.0)  # sums of money are floats
        return (self.money is None or self.spent_money + money <= self.money + slack) and (
            self.tokens is None or self.spent_tokens + tokens <= self.tokens
        )

    def _settle(self, held: Reservation, money: float, tokens: int) -> None:
        with self._lock:
            self._held_money -= held.money
            self._held_tokens -= held.tokens
            self.spent_money += money
            self.spent_tokens += tokens


class Reservation:
    """What is set aside for one attempt. Leaving its `with` block gives back what was not settled."""

    def __init__(self, budget: Budget, money: float, tokens: int) -> None:
        self._budget, self.money, self.tokens = budget, money, tokens
        self._is_open = True

    def settle(self, money: float, tokens: int) -> None:
        """This is what it took."""
        if self._is_open:
            self._is_open = False
            self._budget._settle(self, money, tokens)

    def settle_at_worst(self) -> None:
        """Nobody knows what it took: the server may have answered and billed what never arrived."""
        self.settle(self.money, self.tokens)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle(0.0, 0)
