"""Does a text go round in circles? Read off its words alone."""

from __future__ import annotations

from collections.abc import Sequence

from palate.evaluate.style.features import tokens_of

__all__ = ["is_repeating", "repeated_share"]

_ORDER = 4
_MIN_GRAMS = 16
_MAX_REPEATED = 0.5
_MAX_PERIOD = 64
_MIN_LOOP_TOKENS = 12
_MIN_ROUNDS = 3


def repeated_share(text: str) -> float:
    """The share of its four-token runs that stood in it before; 0 for a text without any.

    Runs of signs alone do not count: a line under a heading or in a table is drawn, not said.
    """
    grams = _runs_of(tokens_of(text))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def is_repeating(text: str) -> bool:
    """Whether it ends in a loop (the same up to 64 tokens three times or more, 12 tokens or more in all), or
    half of its four-token runs stood in it before (of a text that has 16 or more)."""
    tokens = tokens_of(text)
    if len(_runs_of(tokens)) >= _MIN_GRAMS and repeated_share(text) >= _MAX_REPEATED:
        return True
    return _ends_in_a_loop(tokens)


def _runs_of(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    runs = (tuple(tokens[start : start + _ORDER]) for start in range(len(tokens) - _ORDER + 1))
    return [run for run in runs if any(token[0].isalnum() for token in run)]


def _ends_in_a_loop(tokens: Sequence[str]) -> bool:
    """The end may stand within a round: whatever was cut off in it is no less of a loop."""
    for period in range(1, min(_MAX_PERIOD, len(tokens) // _MIN_ROUNDS) + 1):
        length = period
        while length < len(tokens) and tokens[-length - 1] == tokens[-length - 1 + period]:
            length += 1
        if length >= max(_MIN_ROUNDS * period, _MIN_LOOP_TOKENS):
            return any(token[0].isalnum() for token in tokens[-period:])
    return False
