"""Sentences that other commands wrote in English, said in another language: the figures stay as they are.

`sentences.zh.yaml` is a list of English sentences with places for what changes in them, and what to say in
their stead:

    {#name}  a figure: 12, 3.4e-05, 62%, 95.1%
    {name}   any text of one sentence, which comes out as it is
    {~name}  text that is in the catalogue itself, whole or in parts between semicolons or commas
    {?name}  the same, but text that is not there comes out as it is
    <a|b>    one of these, in the English sentence only
    [...]    may be absent; the other side's part is said where all its places are filled

Of a text of several sentences each is looked up by itself where the whole is not there. Texts may come from a
file that was made to keep a reader busy: finding one costs no more than `MAX_LOOKUPS` passes over it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files

import yaml

from palate.report.sentence_forms import Form, forms_of

__all__ = ["MAX_LOOKUPS", "Entry", "catalogue", "translated"]

MAX_CHARACTERS = 1500
"""A longer text is nobody's sentence, and is not looked at."""
MAX_DEPTH = 4
MAX_LOOKUPS = 100
"""Sentences and parts of them that are looked up for one text; those of commands take fewer than forty."""
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_NAMED = re.compile(r"\{(\w+)\}")
_JOINTS = (("; ", "；"), (", ", "、"))
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?]) ")
_SEVERAL_SENTENCES = re.compile(r"[.!?] \S")

Places = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One sentence: how it is known, and what is said in its stead."""

    forms: tuple[Form, ...]
    """With and without what may be absent, the longest first."""
    said: str

    @classmethod
    def of(cls, english: str, said: str) -> Entry:
        """From the two sides as the catalogue has them."""
        return cls(forms_of(english), said)

    def places(self, text: str) -> Places | None:
        """What stands in its places where `text` is this sentence, None in those that are absent."""
        for form in self.forms:
            found = form.match(text)
            if found is not None:
                # The first form has all places.
                return dict.fromkeys(self.forms[0].names) | found
        return None

    @property
    def free(self) -> Mapping[str, str]:
        """Kinds of the places that are no figures, by name: "", "~" or "?"."""
        return self.forms[0].free


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that can be said in one language, in the order of its file."""

    entries: tuple[Entry, ...]
    by_text: Mapping[str, str]
    """Those without a place."""


@cache
def catalogue(language: str) -> Catalogue:
    """Everything that can be said in `language`; nothing for English."""
    if language == "en":
        return Catalogue((), {})
    text = (files("palate.report") / f"sentences.{language}.yaml").read_text(encoding="utf-8")
    groups: Mapping[str, Sequence[Mapping[str, str]]] = yaml.safe_load(text)
    pairs = [(one["en"], one[language]) for group in groups.values() for one in group]
    plain = {english: said for english, said in pairs if not re.search(r"[{<\[]", english)}
    return Catalogue(tuple(Entry.of(*pair) for pair in pairs if pair[0] not in plain), plain)


def translated(text: str, language: str) -> str | None:
    """The text in `language`, or None where the catalogue does not know it."""
    return None if len(text) > MAX_CHARACTERS else _translated(text.strip(), language)


@lru_cache(maxsize=2048)
def _translated(text: str, language: str) -> str | None:
    search = _Search(catalogue(language))
    whole = search.whole(text, MAX_DEPTH)
    return whole or search.parts(_BETWEEN_SENTENCES.split(text), "", MAX_DEPTH)


@dataclass(slots=True)
class _Search:
    """Looks one text up, and gives up when that takes more than any sentence does."""

    known: Catalogue
    num_lookups: int = 0
    seen: dict[tuple[str, int], str | None] = field(default_factory=dict)

    def whole(self, text: str, depth: int) -> str | None:
        """What is said in the stead of `text` as one entry."""
        if text in self.known.by_text:
            return self.known.by_text[text]
        if (text, depth) not in self.seen:
            if not text or not depth or self.num_lookups == MAX_LOOKUPS:
                return None
            self.num_lookups += 1
            self.seen[text, depth] = self._first(text, depth)
        return self.seen[text, depth]

    def parts(self, texts: Sequence[str], joint: str, depth: int) -> str | None:
        """All of them, joined; None where there is but one, or one is not known."""
        said: list[str] = []
        for text in texts if len(texts) > 1 else ():
            one = self.whole(text, depth)
            if one is None:
                return None
            said.append(one)
        return joint.join(said) or None

    def _first(self, text: str, depth: int) -> str | None:
        for entry in self.known.entries:
            found = entry.places(text)
            if found is not None and self._said(entry.free, found, depth - 1):
                return _filled(entry.said, found)
        return None

    def _said(self, free: Mapping[str, str], places: Places, depth: int) -> bool:
        """Puts what stands in the places into the language, where it has to be; False where it cannot be."""
        for name, kind in free.items():
            text = places[name]
            if text is None:
                continue
            said = None
            if kind:
                said = self.whole(text, depth)
                for joint, said_joint in _JOINTS:
                    said = said or self.parts(text.split(joint), said_joint, depth)
            # Several sentences are not one place of one: a new sentence stands behind a known one.
            if said is None and (kind == "~" or _SEVERAL_SENTENCES.search(text)):
                return False
            places[name] = said or text
        return True


def _filled(said: str, places: Mapping[str, str | None]) -> str:
    """`said` with its places filled, less the optional parts in which one is not."""

    def kept(found: re.Match[str]) -> str:
        named = _NAMED.findall(found.group(1))
        return found.group(1) if all(places.get(name) is not None for name in named) else ""

    # Places are filled in one pass: what stands in them is never read as a place again.
    return _NAMED.sub(lambda found: places.get(found.group(1)) or "", _OPTIONAL.sub(kept, said))
