"""A sentence with places, and whether a text is that sentence, in one pass over the text.

As with file names and `*`: between two places for any text the first fit is taken and never taken back, which
finds a fit wherever there is one. One regular expression for it all would try every way to divide a text
among its places: with five of them, and a text made for it, that is hours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FIGURE", "Form", "forms_of"]

MOST_CHARACTERS = {"": 200, "~": 1000, "?": 1000}
"""Of what stands in a place, by its kind; what is longer is no name, and another sentence."""
# Atomic: a figure is read once, and not cut shorter in search of a fit.
FIGURE = r"(?>[-−+]?\d(?:[\d,.]*\d)?(?:e[-−+]?\d+)?[%×]?)"
_PLACE = re.compile(r"\{([#~?]?)(\w+)\}|<([^<>]*)>")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True, slots=True)
class Form:
    """A sentence as pieces with any text between them."""

    head: str
    tail: str
    """What it begins and ends with, up to the first place and from the last: they tell most texts."""
    pieces: tuple[re.Pattern[str], ...]
    """Words and figures; the last one stands at the end of the text."""
    free: Mapping[str, str]
    """Kinds of the places between the pieces, in order, by name."""

    @classmethod
    def of(cls, sentence: str) -> Form:
        """From a sentence without optional parts."""
        pieces, free, end = [""], {}, 0
        for found in _PLACE.finditer(sentence):
            pieces[-1] += re.escape(sentence[end : found.start()])
            kind, name, choices = found.groups()
            if choices is not None:
                pieces[-1] += f"(?:{'|'.join(map(re.escape, choices.split('|')))})"
            elif kind == "#":
                pieces[-1] += f"(?P<{name}>{FIGURE})"
            else:
                free[name] = kind
                pieces.append("")
            end = found.end()
        pieces[-1] += re.escape(sentence[end:]) + r"\Z"
        first = _PLACE.search(sentence)
        head = sentence if first is None else sentence[: first.start()]
        return cls(head, sentence[end:], tuple(map(re.compile, pieces)), free)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all its places."""
        return (*self.free, *(name for piece in self.pieces for name in piece.groupindex))

    def match(self, text: str) -> dict[str, str | None] | None:
        """What stands in the places, or None where the text is not this sentence."""
        if not (text.startswith(self.head) and text.endswith(self.tail)) or "\n" in text:
            return None
        found = self.pieces[0].match(text)
        if found is None:
            return None
        places = found.groupdict()
        for (name, kind), piece in zip(self.free.items(), self.pieces[1:], strict=True):
            begin = found.end()
            found = piece.search(text, begin + 1)
            if found is None or not 0 < found.start() - begin <= MOST_CHARACTERS[kind]:
                return None
            places |= {name: text[begin : found.start()]} | found.groupdict()
        return places


def forms_of(sentence: str) -> tuple[Form, ...]:
    """With and without each part that may be absent, those with the first of them first."""
    return tuple(Form.of(one) for one in _with_and_without(sentence))


def _with_and_without(sentence: str) -> list[str]:
    found = _OPTIONAL.search(sentence)
    if found is None:
        return [sentence]
    before, rest = sentence[: found.start()], _with_and_without(sentence[found.end() :])
    return [f"{before}{part}{other}" for part in (found.group(1), "") for other in rest]
