"""The scorers that come with Palate: small, plain tastes to try things with, and examples to copy.

A scorer takes the prompt's messages and an answer, and returns a number: larger is better.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from palate.records import Messages

__all__ = ["BUILT_IN_SCORERS", "finishes_sentence", "longer", "shorter", "varied"]

_EMPTY = -1e9
"""Saying nothing is not the shortest answer: it loses to every answer there is."""

_SENTENCE_END = re.compile(r"""[.!?…。！？]["'”’»)\]）」』]*$""")

# A run of letters is a word; where a script writes no spaces, each of its characters counts as one.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


def shorter(prompt: Messages, answer: str) -> float:
    """Fewer characters, spaces around the answer aside; an empty answer loses to all others."""
    length = len(answer.strip())
    return float(-length) if length else _EMPTY


def longer(prompt: Messages, answer: str) -> float:
    """More characters, spaces around the answer aside."""
    return float(len(answer.strip()))


def finishes_sentence(prompt: Messages, answer: str) -> float:
    """1 where the answer ends as a sentence does (`.`, `!`, `?`, `…` or a CJK one, then quotes), else 0."""
    return 1.0 if _SENTENCE_END.search(answer.strip()) else 0.0


def varied(prompt: Messages, answer: str) -> float:
    """The share of three-word runs that are not repeats: 1 where none is, near 0 where the answer loops.

    An answer of fewer than three words repeats nothing and scores 1, an empty one 0.
    """
    words = _WORD.findall(answer.casefold())
    if not words:
        return 0.0
    runs = list(zip(words, words[1:], words[2:], strict=False))
    return len(set(runs)) / len(runs) if runs else 1.0


BUILT_IN_SCORERS: dict[str, Callable[[Messages, str], float]] = {
    "shorter": shorter,
    "longer": longer,
    "finishes_sentence": finishes_sentence,
    "varied": varied,
}
"""Every built-in scorer by the name recipes use."""
