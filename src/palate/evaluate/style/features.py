"""Texts as counts: words, punctuation, and the shapes of what is written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = ["FAMILIES", "Family", "count_matrix", "punctuation_of", "shapes_of", "tokens_of", "words_of"]

Family = Literal["words", "punctuation", "shapes"]
"""What is counted. Words say what a text is about and how it says it; punctuation how it breathes; shapes
(pairs of neighbours, each a short or long, small or capital word, a number, or a sign) how sentences are
built, whatever they are about."""

# Where a script writes no spaces, each of its characters is a word of its own.
_CJK = "\u3040-\u30ff\u3400-\u9fff"
_TOKEN = re.compile(
    rf"[{_CJK}]|[^\W\d_{_CJK}]+(?:['’\-][^\W\d_{_CJK}]+)*|\d+(?:[.,:]\d+)*|\.{{3}}|--+|\*\*|\n+|[^\w\s]|_"
)
_IS_CJK = re.compile(f"[{_CJK}]")


def tokens_of(text: str) -> list[str]:
    """Words, numbers, signs and line ends, in their order; case is kept, other white space is not."""
    return ["\n" if token[0] == "\n" else token for token in _TOKEN.findall(text)]


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
    before = "start"
    for token in tokens_of(text):
        shape = _shape(token)
        yield f"{before} {shape}"
        before = shape


def _shape(token: str) -> str:
    if token[0].isdigit():
        return "9"
    if not token[0].isalpha():
        return "line" if token == "\n" else token
    if _IS_CJK.match(token):
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
