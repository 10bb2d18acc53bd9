"""Texts as counts: words, punctuation, and the shapes of what is written."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = [
    "FAMILIES",
    "Family",
    "count_matrix",
    "normal",
    "punctuation_of",
    "shapes_of",
    "spans_of",
    "tokens_of",
    "words_of",
]

Family = Literal["words", "punctuation", "shapes"]
"""What is counted. Words say what a text is about and how it says it; punctuation how it breathes; shapes
(pairs of neighbours, each a short or long, small or capital word, a number, or a sign) how sentences are
built, whatever they are about."""

# Where a script writes no spaces, each of its characters is a word of its own: Thai to Lao, Burmese, Khmer,
# kana and Chinese characters.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff"
)
# Vowel signs and accents that are characters of their own belong to the letter before them, and so do the
# joiners of Persian and Indic words.
_MARKS = (
    "".join(chr(code) for code in range(0x300, 0xFFFF) if unicodedata.category(chr(code))[0] == "M")
    + "\u200c\u200d"
)
_LETTERS = rf"(?:[^\W\d_{_UNSPACED}][{_MARKS}]*)+"
_TOKEN = re.compile(
    rf"[{_UNSPACED}][{_MARKS}]*|{_LETTERS}(?:['’\-]{_LETTERS})*|\d+(?:[.,:]\d+)*|\.{{3}}|--+|\*\*|\n+"
    # A face with its colour and its hair, or a flag, is one sign.
    rf"|[\U0001f1e6-\U0001f1ff]{{2}}|[^\w\s](?:[{_MARKS}\U0001f3fb-\U0001f3ff]|(?<=\u200d)[^\w\s])*|_"
)
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))


def normal(text: str) -> str:
    """As it is counted: an accent is part of its letter (NFC), line ends are one kind, and what is not seen
    (soft hyphens, spaces of no width) is not there."""
    return unicodedata.normalize("NFC", text).translate(_UNSEEN).replace("\r\n", "\n").replace("\r", "\n")


def spans_of(text: str, begin: int = 0) -> Iterator[tuple[int, int]]:
    """Where each token of a `normal` text begins and ends, from a place on."""
    return (match.span() for match in _TOKEN.finditer(text, begin))


def tokens_of(text: str) -> list[str]:
    """Words, numbers, signs and line ends, in their order; case is kept, other white space is not."""
    return ["\n" if token[0] == "\n" else token for token in _TOKEN.findall(normal(text))]


def words_of(text: str) -> Iterator[str]:
    """Words without their case, and one name for every number. A curly apostrophe is a straight one."""
    for token in tokens_of(text):
        if token[0].isdigit():
            yield "0"
        elif token[0].isalpha():
            yield token.casefold().replace("’", "'")


def punctuation_of(text: str) -> Iterator[str]:
    """Signs and line ends; words are all one, so that shares say how often a sign stands between words."""
    for token in tokens_of(text):
        yield "word" if token[0].isalnum() else token


def shapes_of(text: str) -> Iterator[str]:
    """The shapes of every two neighbours."""
    # Pairs inside the text alone: its begin is no neighbour, or short texts would differ from long ones.
    yield from (f"{one} {other}" for one, other in pairwise(map(_shape, tokens_of(text))))


def _shape(token: str) -> str:
    if token[0].isdigit():
        return "9"
    if not token[0].isalpha():
        return "line" if token == "\n" else token
    if _IS_UNSPACED.match(token):
        return "字"
    length = "short" if len(token) <= 3 else "middle" if len(token) <= 7 else "long"
    case = "X" if token.isupper() and len(token) > 1 else "Xx" if token[0].isupper() else "x"
    return f"{case}-{length}"


FAMILIES: Mapping[Family, Callable[[str], Iterator[str]]] = {
    "words": words_of,
    "punctuation": punctuation_of,
    "shapes": shapes_of,
}


def count_matrix(
    texts: Sequence[str], features: Callable[[str], Iterator[str]]
) -> tuple[csr_array, tuple[str, ...]]:
    """How often each text has each feature.

    Returns:
        Counts [texts, features] as float64, and the features' names in alphabetical order.
    """
    counted = [Counter(features(text)) for text in texts]
    names = sorted(set().union(*counted)) if counted else []
    place = {name: number for number, name in enumerate(names)}
    sizes = np.array([len(one) for one in counted], dtype=np.int64)
    columns: NDArray[np.int64] = np.array([place[name] for one in counted for name in one], dtype=np.int64)
    values = np.array([count for one in counted for count in one.values()], dtype=np.float64)
    starts = np.concatenate(([0], np.cumsum(sizes)))
    return csr_array((values, columns, starts), shape=(len(texts), len(names))), tuple(names)
