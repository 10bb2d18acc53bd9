"""Whether a text begins and ends as written text does, in any script."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["ends_closed", "starts_with_capital"]

# Marks of sentence ends: Latin, Greek, Arabic, Urdu, Devanagari, Armenian, Ethiopic, CJK, Burmese, Khmer.
_CLOSING = frozenset(
    ".!?\u2026\u203d\u037e\u061f\u06d4\u0964\u0965\u0589\u1362\u1367\u3002\uff01\uff1f\uff0e\uff61\u2047\u2048\u2049\u104a\u104b\u17d4\u17d5"
)
_FENCE = re.compile(r"(```|~~~)[ \t]*\Z")


def starts_with_capital(text: str) -> bool:
    """Whether the first letter that has case is a capital, quotes and Markdown before it passed over.

    A text whose first letter has no case, as in Chinese or Arabic, passes; so does one with no letter, and
    one that starts with a number. Title case (as in the digraph `ǅ`) is a capital.
    """
    for character in text:
        category = unicodedata.category(character)
        if category in ("Lu", "Lt"):
            return True
        if category == "Ll":
            return False
        if category[0] in "LN":
            return True
    return True


def ends_closed(text: str) -> bool:
    """Whether the last character, white space aside, closes something.

    That is a mark that ends a sentence in any script, also before closing quotes, brackets and Markdown's
    emphasis; or a closing quote or bracket; or the fence after a block of code. Emoji and the joiners in
    them are passed over; a colon, a comma, a letter or a digit leaves the text open.
    """
    text = text.rstrip()
    if _FENCE.search(text):
        return True
    for character in reversed(text):
        category = unicodedata.category(character)
        if character in _CLOSING or category in ("Pe", "Pf") or character in "\"'」』":
            return True
        if character in "*_~`" or character.isspace() or category in ("So", "Sk", "Cf", "Mn"):
            continue
        return False
    return False
