"""The words of the voting pages, in every language they speak, and which language a visitor gets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal, cast, get_args

import yaml

__all__ = ["LANGUAGES", "Language", "language_for", "words"]

Language = Literal["en", "zh"]

LANGUAGES: tuple[Language, ...] = get_args(Language)


@cache
def words(language: Language) -> Mapping[str, str]:
    """Every visible string of the pages by its name. `{n}` and the like stand for what is filled in."""
    text = (files("palate.annotate") / "pages" / f"wording.{language}.yaml").read_text(encoding="utf-8")
    loaded = yaml.safe_load(text)
    if not isinstance(loaded, dict) or not all(isinstance(word, str) for word in loaded.values()):
        raise ValueError(f"wording.{language}.yaml is not a table of strings")
    return cast("dict[str, str]", loaded)


def language_for(chosen: str | None, accept_language: str | None, default: Language = "en") -> Language:
    """What the visitor chose (`?lang=`); else the best of what the browser asks for; else `default`.

    `accept_language` is the header as it came, from whomever: what cannot be read in it is passed over.
    """
    if chosen in LANGUAGES:
        return chosen
    ranked = sorted(_wanted(accept_language or ""), key=lambda wanted: -wanted[1])
    for name, weight in ranked:
        primary = name.split("-")[0]
        if weight > 0 and primary in LANGUAGES:
            return primary
    return default


def _wanted(header: str) -> list[tuple[str, float]]:
    """`zh-CN,zh;q=0.9` as names and weights, in the order in which they stand."""
    found: list[tuple[str, float]] = []
    for part in header[:1000].split(","):
        name, _, options = part.strip().lower().partition(";")
        weight = options.strip().removeprefix("q=") or "1"
        try:
            found.append((name.strip(), float(weight)))
        except ValueError:
            continue
    return found
