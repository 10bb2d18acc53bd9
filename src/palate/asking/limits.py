"""How hard a server may be pressed, and how long it is waited for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from palate.errors import CallError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one endpoint.

    Raises:
        CallError: one of them is not positive.
    """

    concurrency: int = 8
    """Requests in flight at once."""
    requests_per_minute: int | None = None
    """In any 60 seconds; None: as many as the server takes."""
    tokens_per_minute: int | None = None
    """Of prompt and answer, in any 60 seconds: estimated before, corrected after."""
    timeout_seconds: float = 300.0
    """For one attempt, from sending to the last byte, however slowly they come."""
    connect_timeout_seconds: float = 20.0
    max_attempts: int = 6
    first_backoff_seconds: float = 1.0
    """Before the second attempt; it doubles from there, and a random part of up to a half is taken off."""
    max_backoff_seconds: float = 60.0
    max_retry_after_seconds: float = 300.0
    """A server that asks for a longer pause gets this one."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise CallError(f"{name} = {value}: it has to be a positive number")
