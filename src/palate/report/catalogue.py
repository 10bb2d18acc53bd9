"""Sentences that other commands wrote in English, said in another language: the figures stay as they are.

`sentences.zh.yaml` is a list of English sentences with places for what changes in them, and what to say in
their stead:

    {#name}  a figure: 12, 3.4e-05, 62%, 95.1%
    {name}   any text, which comes out as it is
    {~name}  text that is in the catalogue itself, whole or in parts between semicolons or commas
    {?name}  the same, but text that is not there comes out as it is
    <a|b>    one of these, in the English sentence only
    [...]    may be absent; the other side's part is said where all its places are filled

Of a text of several sentences each is looked up by itself where the whole is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

__all__ = ["Entry", "catalogue", "translated"]

MAX_CHARACTERS = 1500
"""A longer text is nobody's sentence, and is not looked at."""
MAX_DEPTH = 4
_FREE, _LONG = r"[^\n]{1,200}?", r"[^\n]{1,1000}?"
"""Bounded: a file made for it would else keep the matcher busy for hours."""
_FIGURE = r"[-−+]?\d(?:[\d,.]*\d)?(?:e[-−+]?\d+)?[%×]?"
_PLACE = re.compile(r"\{([#~?]?)(\w+)\}|<([^<>]*)>|\[|\]")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_NAMED = re.compile(r"\{(\w+)\}")
_JOINTS = (("; ", "；"), (", ", "、"))
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?]) ")


@dataclass(frozen=True, slots=True)
class Entry:
    """One sentence: how it is known, and what is said in its stead."""

    pattern: re.Pattern[str]
    nested: tuple[str, ...]
    """Places whose text is in the catalogue too."""
    lenient: frozenset[str]
    """Those of them whose text need not be."""
    said: str

    @classmethod
    def of(cls, english: str, said: str) -> Entry:
        """From the two sides as the catalogue has them."""
        parts: list[str] = []
        nested: list[str] = []
        lenient: list[str] = []
        end = 0
        for found in _PLACE.finditer(english):
            parts.append(re.escape(english[end : found.start()]))
            parts.append(_place(found))
            if found.group(1) in ("~", "?"):
                nested.append(found.group(2))
            if found.group(1) == "?":
                lenient.append(found.group(2))
            end = found.end()
        parts.append(re.escape(english[end:]))
        return cls(re.compile("".join(parts)), tuple(nested), frozenset(lenient), said)


def _place(found: re.Match[str]) -> str:
    if found.group(2):
        text = {"#": _FIGURE, "": _FREE}.get(found.group(1), _LONG)
        return f"(?P<{found.group(2)}>{text})"
    if found.group(3) is not None:
        return f"(?:{'|'.join(map(re.escape, found.group(3).split('|')))})"
    return "(?:" if found.group() == "[" else ")?"


@cache
def catalogue(language: str) -> tuple[Entry, ...]:
    """Everything that can be said in `language`, in the order of its file; nothing for English."""
    if language == "en":
        return ()
    text = (files("palate.report") / f"sentences.{language}.yaml").read_text(encoding="utf-8")
    groups: Mapping[str, Sequence[Mapping[str, str]]] = yaml.safe_load(text)
    return tuple(Entry.of(one["en"], one[language]) for group in groups.values() for one in group)


def translated(text: str, language: str) -> str | None:
    """The text in `language`, or None where the catalogue does not know it."""
    if len(text) > MAX_CHARACTERS:
        return None
    text = text.strip()
    return _whole(text, language, MAX_DEPTH) or _parts(
        _BETWEEN_SENTENCES.split(text), "", language, MAX_DEPTH
    )


def _whole(text: str, language: str, depth: int) -> str | None:
    if not text or not depth:
        return None
    for entry in catalogue(language):
        found = entry.pattern.fullmatch(text)
        places = None if found is None else _places(entry, found.groupdict(), language, depth - 1)
        if places is not None:
            return _filled(entry.said, places)
    return None


def _places(
    entry: Entry, found: Mapping[str, str | None], language: str, depth: int
) -> Mapping[str, str | None] | None:
    """What stands in the places, in `language` where it has to be; None where it cannot be."""
    places = dict(found)
    for name in entry.nested:
        text = places[name]
        if text is None:
            continue
        said = _whole(text, language, depth)
        for joint, said_joint in _JOINTS:
            said = said or _parts(text.split(joint), said_joint, language, depth)
        if said is None and name not in entry.lenient:
            return None
        places[name] = said or text
    return places


def _parts(texts: Sequence[str], joint: str, language: str, depth: int) -> str | None:
    """All of them, joined; None where there is but one, or one is not known."""
    said = [_whole(text, language, depth) for text in texts] if len(texts) > 1 else [None]
    return None if None in said else joint.join(one for one in said if one)


def _filled(said: str, places: Mapping[str, str | None]) -> str:
    """`said` with its places filled, less the optional parts in which one is not."""

    def kept(found: re.Match[str]) -> str:
        named = _NAMED.findall(found.group(1))
        return found.group(1) if all(places.get(name) is not None for name in named) else ""

    # Places are filled in one pass: what stands in them is never read as a place again.
    return _NAMED.sub(lambda found: places.get(found.group(1)) or "", _OPTIONAL.sub(kept, said))
