"""Whether an answer stands in its extract word for word, and where; a near miss is put right."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from palate.data.spans import find_verbatim, fold

__all__ = ["MIN_SIMILARITY", "Located", "locate"]

MIN_SIMILARITY = 90.0
"""Percent of characters in common, as `locate` counts them, above which a near miss is put right."""

_WORD = re.compile(r"\S+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_CLAIM = re.compile(
    r"\d+(?:[.,:/]\d+)*"
    r"|\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|(?:twen|thir|for|fif|six|seven|"
    r"eigh|nine)ty|hundreds?|thousands?|millions?|billions?|half|twice)\b"
    r"|\b(?:not|no|never|none|nor|neither|nobody|nothing|nowhere|without|cannot|hardly|barely|\w+n't)\b"
    r"|\b(?:nicht|nichts|kein\w*|nie|niemals|ohne|ne|pas|jamais|sans|sin|nunca|não|sem|non|mai|niet|geen)\b"
    r"|\b(?:не|нет|ни|без|никогда)\b|[不没沒無无未]",
    re.IGNORECASE,
)
"""Numbers and negations, by which a sentence says something else though hardly a letter differs."""
_SENTENCE_REACH = 25
"""Characters by which an end may move to where a sentence begins or ends."""


@dataclass(frozen=True, slots=True)
class Located:
    """A span of an extract, `text[start:end]`, that an answer was taken from."""

    start: int
    end: int
    similarity: float
    """100 where the answer is the span, up to white space and the shape of quotes and dashes."""

    @property
    def repaired(self) -> bool:
        """Whether words or letters had to be put right."""
        return self.similarity < 100


def locate(
    answer: str, text: str, sentences: Iterable[str] = (), min_similarity: float = MIN_SIMILARITY
) -> Located | None:
    """Where `answer` stands in `text`; None where nothing in it is similar enough.

    First as it is, then up to white space and the shape of quotes, dashes and dots. Else the passage that is
    nearest by aligned characters (rapidfuzz), with its ends moved to the ends of words, or of `sentences`
    where those are near, whichever of these comes nearest to the answer. Its similarity is
    100 * (1 - insertions and deletions / characters of both), and has to reach `min_similarity`. And it has
    the answer's numbers and negations, in their order: else it says something else.
    """
    answer = answer.strip()
    if not answer:
        return None
    start = text.find(answer)
    if start >= 0:
        return Located(start, start + len(answer), 100.0)
    for said in (answer, fold(answer).strip('"')):
        if found := find_verbatim(said, text):
            return Located(*found, 100.0)
    return _nearest(answer, text, list(sentences), min_similarity)


def _nearest(answer: str, text: str, sentences: list[str], min_similarity: float) -> Located | None:
    from rapidfuzz import fuzz

    # The aligned window is only as long as the answer: its similarity is a little below the best span's.
    found = fuzz.partial_ratio_alignment(answer, text, score_cutoff=max(0.0, min_similarity - 15))
    if found is None or len(answer) > len(text) * 1.2:
        return None
    words = [word.span() for word in _WORD.finditer(text)]
    begins, ends = [word[0] for word in words], [word[1] for word in words]
    sentence_spans = list(_spans(sentences, text))
    starts = _near(found.dest_start, begins, [span[0] for span in sentence_spans])
    stops = _near(found.dest_end, ends, [span[1] for span in sentence_spans])
    claims = _claims(answer)
    best: Located | None = None
    for start, stop in product(starts, stops):
        if start >= stop:
            continue
        similarity = min(fuzz.ratio(answer, text[start:stop]), 99.99)
        is_better = similarity >= min_similarity and (best is None or similarity > best.similarity)
        if is_better and _claims(text[start:stop]) == claims:
            best = Located(start, stop, round(similarity, 2))
    return best


def _claims(text: str) -> list[str]:
    return _CLAIM.findall(_THOUSANDS.sub("", fold(text).casefold()))


def _near(place: int, words: list[int], sentences: list[int]) -> list[int]:
    """The ends of words on either side of a place, and those of sentences within reach."""
    around = words[max(0, bisect_left(words, place) - 2) : bisect_right(words, place) + 2]
    return sorted({*around, *(s for s in sentences if abs(s - place) <= _SENTENCE_REACH)})


def _spans(sentences: list[str], text: str) -> Iterable[tuple[int, int]]:
    start = 0
    for sentence in sentences:
        start = text.find(sentence, start)
        if start < 0:
            return
        yield start, start + len(sentence)
        start += len(sentence)
