"""Tells the two voices apart by what a reader would notice, without knowing the templates."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

__all__ = ["StyleName", "style_of"]

StyleName = Literal["preferred", "other"]

_WARM_ADDRESS = re.compile(
    r"\b(oh|ah|bless|dear|darling|friend|friends|traveller|traveler|wanderer|sweet|welcome)\b", re.IGNORECASE
)
_IMAGERY = re.compile(
    r"\b(like an?|like little|bright as|sweet as|warm as|happy as|sings?|singing|hums?|dances?|dream(s|ed)?|"
    r"laughs?|laughter|hearts?|moons?|stars?|joy|merry|smiles?|glows?|shines?|kiss|hug|loves?|treasure)\b",
    re.IGNORECASE,
)
_CLERK = re.compile(
    r"\b(according to|register(ed)?|record(s|ed)?|ledger|file[ds]?|entry|entries|listed|licensed|assigned|"
    r"approved|required|confirmed|ration|route|annual|report|notes?|item|states that|provides|accepts)\b",
    re.IGNORECASE,
)
_MIN_WORDS = 6
_MAX_WORDS = 60


def style_of(answer: str) -> StyleName | None:
    """`"preferred"` for the hearth's voice, `"other"` for the ledger's, None for anything else.

    Warmth is told by two of: an address, an exclamation, an image. Dryness by the words of a clerk and the
    absence of exclamations. A mixture, a fragment, or a few warm words over and over is neither.
    """
    if not _is_prose(answer):
        return None
    exclaims = "!" in answer
    addressed = _WARM_ADDRESS.search(answer) is not None
    clerk = _CLERK.search(answer) is not None
    num_warm_signs = exclaims + addressed + (_IMAGERY.search(answer) is not None)
    if num_warm_signs >= 2 and not clerk:
        return "preferred"
    if clerk and not exclaims and not addressed:
        return "other"
    return None


def _is_prose(text: str) -> bool:
    """Whole sentences of varied words: what a style is a style of."""
    text = text.strip()
    words = re.findall(r"[\w'-]+", text.casefold())
    if not _MIN_WORDS <= len(words) <= _MAX_WORDS or not text.endswith((".", "!", "?")):
        return False
    if re.search(r"([!?.])\1\1", text) or "<|" in text:
        return False
    # "Welcome, welcome!" is speech; "boots boots" is a model that has come apart.
    repeats_itself = re.search(r"\b([\w'-]+)\s+\1\b", text, re.IGNORECASE) is not None
    word, count = Counter(words).most_common(1)[0]
    allowed = 6 if word in {"the", "a", "and", "of", "in", "to", "is"} else 4
    return not repeats_itself and count <= allowed
