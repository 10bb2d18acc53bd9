"""Messages in few characters, for rows and for what is expected of them."""

from __future__ import annotations

from typing import Any

from palate.records import Message, Messages

_ROLES: dict[str, Any] = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def said(*turns: str) -> Messages:
    """`said("u: hi", "a: hello")` as records."""
    return tuple(Message(_ROLES[turn[0]], turn[3:]) for turn in turns)


def dicts(*turns: str) -> list[dict[str, str]]:
    """The same as a row has them."""
    return [message.as_dict() for message in said(*turns)]
