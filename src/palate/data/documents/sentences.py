"""A text as its sentences: cleaned of what is no text, and divided without losing a character."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from palate.errors import DataError, did_you_mean

__all__ = ["clean_text", "folded", "split_sentences"]

_TAGS = (
    "a|abbr|article|b|blockquote|br|code|dd|div|dl|dt|em|figcaption|figure|footer|h[1-6]|header|hr|i|img|li|"
    "main|mark|nav|ol|p|pre|section|small|span|strong|sub|sup|table|tbody|td|th|thead|tr|u|ul"
)
_ATTRIBUTES = r"(?:\s+[\w:-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+)){0,20}\s*/?"
_BLOCK_TAGS = re.compile(
    r"</?(?:article|blockquote|div|dl|figure|footer|h[1-6]|header|hr|li|main|nav|ol|p|pre|section|table|tr|ul)"
    rf"{_ATTRIBUTES}>",
    re.IGNORECASE,
)
_LINE_TAG = re.compile(rf"<br{_ATTRIBUTES}>", re.IGNORECASE)
_OTHER_TAGS = re.compile(rf"</?(?:{_TAGS}){_ATTRIBUTES}>", re.IGNORECASE)
_ENTITY = re.compile(
    r"&(?:amp|lt|gt|quot|apos|nbsp|hellip|mdash|ndash|[lr][sd]quo|#\d{1,6}|#[xX][\da-fA-F]{1,5});"
)

_PARAGRAPH = re.compile(r"\n{2,}")
_NEW_ITEM = re.compile(r"\n(?=(?:[-*+•‣] |#{1,6} |\d{1,3}[.)] |\|))")

_FULL_STOPS = "。！？｡"  # these end a sentence with no space after them
_CLOSERS = "\"'”’»)\\]）」』】〉》"
_CERTAIN_CLOSERS = "”’）」』】〉》"
_NOT_YET = f"(?![{_FULL_STOPS}{_CLOSERS}])"
_AFTER_FULL_STOP = re.compile(f"(?<=[{_FULL_STOPS}]){_NOT_YET}|(?<=[{_FULL_STOPS}][”’」』）】]){_NOT_YET}")
# A word too long for an abbreviation, a full stop, and a capital or a letter of a script without case.
_SAFE_BREAK = re.compile(
    rf"(?:(?<=[a-zà-öø-ÿ]{{6}}[.!?…])|(?<=[^\W\d_a-z]{{7}}[.!?…]))[{_CLOSERS}]*\s+(?=\W{{0,2}}[^\W\d_a-z])"
)

_MAX_CHARACTERS_AT_ONCE = 2_500
"""pysbd takes time with the square of what it is given at once."""
_MAX_UNBROKEN_CHARACTERS = 32_000
"""A longer passage without any sure end of a sentence is given to it in windows."""


def clean_text(text: str) -> str:
    """The text without what is none; no word is taken out.

    Control characters, invisible marks (byte-order marks, soft hyphens, marks of direction) and the tags of
    HTML's text elements go; what stood between two tags stays. Entities become their characters. Every kind
    of space becomes a space, every line end `\\n`; several spaces become one, and several empty lines one.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    text = _BLOCK_TAGS.sub("\n\n", text)
    text = _LINE_TAG.sub("\n", text)
    text = _OTHER_TAGS.sub("", text)
    text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    text = "".join(map(_plain, text))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _plain(character: str) -> str:
    if character in "\n\t":
        return character
    category = unicodedata.category(character)
    if category == "Zs" or character in "\x0b\x0c\x85":
        return " "
    # The joiners are Cf too, and some scripts and emoji cannot be written without them.
    if category == "Cc" or (category == "Cf" and character not in "\u200c\u200d"):
        return ""
    return character


def folded(text: str) -> str:
    """The text with every run of white space as one space: what two texts have in common but for layout."""
    return " ".join(text.split())


def split_sentences(text: str, language: str = "en") -> list[str]:
    """The sentences of a cleaned text, in order; put together they are the text, up to white space.

    An empty line ends a sentence, and so does a line end before a list item or a heading; any other line end
    is a space. Within a paragraph pysbd decides by the rules of `language`, and the full stops of Chinese
    and Japanese count in every language. What pysbd drops, doubles or changes is seen: that passage is then
    divided after a full stop before a capital letter, and nowhere else.

    Raises:
        DataError: pysbd has no rules for the language.
    """
    segment = _segmenter(language)
    sentences: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        for block in _NEW_ITEM.split(paragraph):
            for passage in _passages(folded(block)):
                for sentence in _divided(passage, segment):
                    sentences.extend(_at_full_stops(sentence))
    return sentences


@cache
def _segmenter(language: str) -> Any:
    import pysbd
    from pysbd.languages import LANGUAGE_CODES

    if language not in LANGUAGE_CODES:
        known = sorted(LANGUAGE_CODES)
        raise DataError(
            f'"{language}": no rules for this language.{did_you_mean(language, known)}',
            where="language",
            why=f"there are rules for {', '.join(known)}",
            next="name the nearest of them; en is fit for most that end sentences with a full stop",
        )
    return pysbd.Segmenter(language=language, clean=False)


def _passages(block: str) -> Iterator[str]:
    """The block in pieces short enough for pysbd, cut where a sentence ends beyond doubt."""
    start = 0
    while len(block) - start > _MAX_CHARACTERS_AT_ONCE:
        window = block[start : start + _MAX_CHARACTERS_AT_ONCE]
        cuts = [found.end() for found in _SAFE_BREAK.finditer(window)] or [
            found.end() for found in _AFTER_FULL_STOP.finditer(window) if found.end() < len(window)
        ]
        # With no end of a sentence in sight it is one sentence until proven otherwise: see `_divided`.
        end = _next_break(block, start) if not cuts else start + cuts[-1]
        yield block[start:end].strip()
        start = end
    if block[start:].strip():
        yield block[start:].strip()


def _next_break(block: str, start: int) -> int:
    found = _SAFE_BREAK.search(block, start) or _AFTER_FULL_STOP.search(block, start + 1)
    return found.end() if found else len(block)


def _divided(passage: str, segmenter: Any) -> list[str]:
    """pysbd's sentences as slices of the passage, or a plain division where they are not."""
    if len(passage) > _MAX_UNBROKEN_CHARACTERS:
        return _divided_in_windows(passage, segmenter)
    return _by_pysbd(passage, segmenter) or _divided_safely(passage)


def _divided_in_windows(passage: str, segmenter: Any) -> list[str]:
    """The sentences of a passage too long for pysbd, window by window.

    What a window ends with may go on: its last sentence is the beginning of the next window. A window in
    which none ends is the beginning of the sentence that ends later.
    """
    sentences: list[str] = []
    begun = start = 0
    while start < len(passage):
        end = min(start + _MAX_CHARACTERS_AT_ONCE, len(passage))
        if end < len(passage):
            end = passage.rfind(" ", start + _MAX_CHARACTERS_AT_ONCE // 2, end) + 1 or end
        parts = _by_pysbd(passage[start:end], segmenter)
        ended = parts if end == len(passage) else parts[:-1]
        if not ended:
            start = end
            continue
        for part in ended:
            start = passage.index(part, start) + len(part)
            sentences.append(passage[begun:start].strip())
            begun = start
    rest = passage[begun:].strip()
    return [*sentences, rest] if rest else sentences


def _by_pysbd(passage: str, segmenter: Any) -> list[str]:
    """Its sentences as slices of the passage; nothing where it fails, or loses or changes text."""
    try:
        parts = segmenter.segment(passage)
    except (re.error, IndexError, ValueError, TypeError, AttributeError, RecursionError):
        # It builds patterns out of the text, and some texts make patterns that are none.
        return []
    return _slices(passage, parts)


def _slices(passage: str, parts: Sequence[str]) -> list[str]:
    """The passage cut where the parts end; nothing where the parts are not the passage, up to white space."""
    cuts, place = [0], 0
    for part in parts:
        for character in "".join(part.split()):
            while passage[place : place + 1].isspace():
                place += 1
            if passage[place : place + 1] != character:
                return []
            place += 1
        cuts.append(place)
    if passage[place:].strip():
        return []
    cuts = [_past_closers(passage, cut) for cut in cuts]
    return [piece for a, b in pairwise(cuts) if (piece := passage[a:b].strip())]


def _past_closers(passage: str, cut: int) -> int:
    """pysbd leaves some closing marks to the sentence after theirs."""
    while 0 < cut < len(passage) and passage[cut] in _CERTAIN_CLOSERS:
        cut += 1
    return cut


def _divided_safely(passage: str) -> list[str]:
    cuts = [0, *(found.end() for found in _SAFE_BREAK.finditer(passage)), len(passage)]
    return [part for a, b in pairwise(cuts) if (part := passage[a:b].strip())]


def _at_full_stops(sentence: str) -> Iterator[str]:
    yield from (part for piece in _AFTER_FULL_STOP.split(sentence) if (part := piece.strip()))
