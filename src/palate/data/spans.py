"""Whether one text stands in another word for word, and where."""

from __future__ import annotations

import re

__all__ = ["FoldedText", "find_verbatim", "fold"]

_SAME = str.maketrans({
    "’": "'", "‘": "'", "‛": "'", "`": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-", "…": "...",
    "\u00ad": "", "\u200b": "", "\u2060": "", "\ufeff": "",
})  # fmt: skip
_SPACE = re.compile(r"\s+")


def fold(text: str) -> str:
    """The text with one space for white space, and quotes, dashes and dots in one shape. Case stays, and so
    does every letter: what differs in a letter is not word for word."""
    if not text.isascii() or "`" in text:
        text = text.translate(_SAME)
    return _SPACE.sub(" ", text).strip()


class FoldedText:
    """A text that is searched many times."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.folded = fold(text)

    def find(self, needle: str) -> tuple[int, int] | None:
        """As `find_verbatim`."""
        wanted = fold(needle)
        if not wanted or (start := self.folded.find(wanted)) < 0:
            return None
        places = _places(self.text)
        return places[start], places[start + len(wanted) - 1] + 1


def find_verbatim(needle: str, haystack: str) -> tuple[int, int] | None:
    """Where `needle` stands in `haystack`, both as `fold` writes them; None where it does not.

    The span is the haystack's own: `haystack[start:end]` are its characters, whatever shape the needle gave
    them. Of several places the first.
    """
    return FoldedText(haystack).find(needle)


def _places(text: str) -> list[int]:
    """Of each character of the folded text, which of the text it comes from."""
    places: list[int] = []
    space = True  # what is at the beginning is stripped
    for place, character in enumerate(text):
        for plain in character.translate(_SAME):
            if plain.isspace():
                if space:
                    continue
                space = True
            else:
                space = False
            places.append(place)
    return places
