"""Which words of two answers differ, as a reader would mark them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

__all__ = ["Span", "mark_differences"]

MAX_TOKENS = 3000
"""Longer answers are shown unmarked: the matcher's time grows with the square of their length."""
MIN_SIMILARITY = 0.3
"""Answers with less than this in common are different texts; marking every word of them would say nothing."""

BRIDGE_CHARACTERS = 3
"""Changes that only this much unchanged text keeps apart are one change to a reader."""

_CJK = r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
# One character of a script written without spaces, a word of any other, a run of spaces, or a single sign.
_TOKEN = re.compile(rf"{_CJK}|(?:(?!{_CJK})\w)+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of an answer; `changed` where the other answer does not have it."""

    text: str
    changed: bool


def mark_differences(before: str, after: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """Both texts in spans. Nothing is marked where they are equal, too long, or have too little in common."""
    unmarked = (Span(before, False),), (Span(after, False),)
    if before == after or not before or not after:
        return unmarked
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    if max(len(old), len(new)) > MAX_TOKENS:
        return unmarked
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    blocks = _joined(matcher.get_opcodes(), old)
    same = sum(len(token.strip()) for tag, i, j, _, _ in blocks if tag == "equal" for token in old[i:j])
    if 2 * same < MIN_SIMILARITY * (len(before) + len(after)):
        return unmarked
    return (
        tuple(span for tag, i, j, _, _ in blocks for span in _spans(old[i:j], tag)),
        tuple(span for tag, _, _, k, m in blocks for span in _spans(new[k:m], tag)),
    )


def _spans(tokens: list[str], tag: str) -> list[Span]:
    """The piece, with the spaces around a change left out of its mark."""
    text = "".join(tokens)
    core = text.strip()
    if tag == "equal" or not core:
        return [Span(text, False)] if text else []
    start = text.index(core)
    parts = (Span(text[:start], False), Span(core, True), Span(text[start + len(core) :], False))
    return [part for part in parts if part.text]


Opcode = tuple[str, int, int, int, int]


def _joined(opcodes: Sequence[Opcode], old: list[str]) -> list[Opcode]:
    joined: list[Opcode] = []
    for index, (tag, i, j, k, m) in enumerate(opcodes):
        between = 0 < index < len(opcodes) - 1
        bridge = between and len("".join(old[i:j]).strip()) <= BRIDGE_CHARACTERS
        kind = "equal" if tag == "equal" and not bridge else "replace"
        if joined and joined[-1][0] == kind:
            _, i, _, k, _ = joined.pop()
        joined.append((kind, i, j, k, m))
    return joined
