"""Signs that an answer was cut off, read off its text alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

__all__ = ["Sign", "unfinished_signs"]

Sign = Literal["unclosed_quote", "unclosed_bracket", "ends_inside_a_phrase", "no_sentence_end"]
"""What an answer that goes on would have closed or said."""

_SENTENCE_END = re.compile(r"""[.!?…。！？:：][\s"'”’»)\]）」』*_`]*$""")
_OPEN_END = re.compile(r"[,;:、，；：\-–—(\[{（「『“‘&/]$")
# Words after which no phrase ends: articles, prepositions, conjunctions, auxiliaries.
_GOES_ON = frozenset(
    (
        "a", "about", "among", "an", "and", "are", "as", "at", "be", "because", "between", "but", "by", "for",
        "from", "her", "his", "how", "if", "in", "into", "is", "its", "my", "nor", "of", "on", "or", "our",
        "over", "than", "that", "the", "their", "these", "this", "those", "through", "to", "toward",
        "towards", "under", "using", "via", "was", "were", "what", "when", "where", "which", "who", "whose",
        "why", "with", "within", "without", "your",
    )
)  # fmt: skip
_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"), ("（", "）"), ("「", "」"), ("『", "』"), ("“", "”"))
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_MOST = 0.8
"""Where at least so many answers end a sentence, one that does not stands out."""


def unfinished_signs(texts: Sequence[str]) -> list[tuple[Sign, ...]]:
    """The signs each text shows, none for most. They are signs: a title may well end in "about".

    That a text has no mark of a sentence's end is a sign only among texts which mostly have one, so titles
    and names are not all cut off.
    """
    ends = [bool(_SENTENCE_END.search(text.strip())) for text in texts]
    judged = [end for end, text in zip(ends, texts, strict=True) if text.strip()]
    sentences = bool(judged) and sum(judged) >= _MOST * len(judged)
    return [_signs(text.strip(), end or not sentences) for text, end in zip(texts, ends, strict=True)]


def _signs(text: str, may_end_so: bool) -> tuple[Sign, ...]:
    found: list[Sign] = []
    plain = _CODE.sub(" ", text)
    if plain.count('"') % 2:
        found.append("unclosed_quote")
    if any(plain.count(opening) > plain.count(closing) for opening, closing in _PAIRS) or "```" in plain:
        found.append("unclosed_bracket")
    words = re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text)
    ends_in_word = bool(words) and text.endswith(words[-1])
    if _OPEN_END.search(text) or (ends_in_word and words[-1].casefold() in _GOES_ON and len(words) > 1):
        found.append("ends_inside_a_phrase")
    if not may_end_so and text:
        found.append("no_sentence_end")
    return tuple(found)
