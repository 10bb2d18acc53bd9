"""Texts without what people change when they copy them."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["folded", "looks_empty", "without_spaces"]

# Marks around words. Not those of sums and names, as in "C++", "C#" and "2*3": they change what is asked.
_AROUND_WORDS = re.compile(
    "[\\s.,;:!?'\"()\\[\\]{}`¡¿«»·\u2010-\u2027\u2030-\u205e\u3000-\u3003\u3008-\u3011\u3014-\u301f]+"
)


def folded(text: str) -> str:
    """The text without what people change when they copy a prompt: case, white space, punctuation, and the
    Unicode form (NFKC)."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _AROUND_WORDS.sub(" ", text.casefold()).strip() or text.strip()


def without_spaces(text: str) -> str:
    """The text in one Unicode form (NFC), with one space where there is white space. Case stays."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


_UNSEEN = frozenset(("Cc", "Cf", "Zl", "Zp", "Zs"))
# Letters and symbols by their category that no font draws: fillers and the empty Braille pattern.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def looks_empty(text: str) -> bool:
    """Whether nobody could see anything in it: white space, control and invisible characters."""
    return not any(
        character not in _BLANK and unicodedata.category(character) not in _UNSEEN for character in text
    )
