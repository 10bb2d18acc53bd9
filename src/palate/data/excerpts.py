"""Short, harmless quotations of data, for messages and terminals."""

from __future__ import annotations

import unicodedata

__all__ = ["excerpt"]


def excerpt(text: str, limit: int = 80) -> str:
    """At most `limit` characters of a text on one line, with nothing in it that a terminal would obey.

    Rows come from strangers: an escape sequence in one must not move the cursor of whoever reads the
    report, and a lone surrogate must not make printing it fail.
    """
    quoted = "".join(_visible(character) for character in text[: limit + 1])
    return quoted if len(quoted) <= limit else quoted[: limit - 1] + "…"


def _visible(character: str) -> str:
    if character in "\n\r\t":
        return " "
    # Cc: control, Cs: surrogate, Cf: invisible formatting, which can turn the direction of a line.
    if unicodedata.category(character) in ("Cc", "Cs", "Cf"):
        return character.encode("unicode_escape").decode("ascii")
    return character
