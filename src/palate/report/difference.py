"""Which words of two answers differ, as a reader would mark them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate

__all__ = ["MAX_WORK", "Effort", "Span", "mark_differences"]

MAX_TOKENS = 3000
"""Longer answers are shown unmarked: the matcher's time grows with the square of their length."""
MAX_WORK = 5_000_000
"""Pairs of equal tokens that are looked at for two answers; a list of commas against another has millions for
each of its commas."""
MIN_SIMILARITY = 0.3
"""Answers with less than this in common are different texts; marking every word of them would say nothing."""

BRIDGE_CHARACTERS = 3
"""Changes that only this much unchanged text keeps apart are one change to a reader."""

Opcode = tuple[str, int, int, int, int]

_CJK = r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
# One character of a script written without spaces, a word of any other, a run of spaces, or a single sign.
_TOKEN = re.compile(rf"{_CJK}|(?:(?!{_CJK})\w)+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of an answer; `changed` where the other answer does not have it."""

    text: str
    changed: bool


@dataclass(slots=True)
class Effort:
    """What is left of the work that all answers of a page are worth, in pairs of equal tokens looked at."""

    left: int = MAX_WORK


def mark_differences(
    before: str, after: str, effort: Effort | None = None
) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """Both texts in spans.

    Nothing is marked where they are equal, too long, or have too little in common, nor where finding it would
    take more than `effort` has left.
    """
    unmarked = (Span(before, False),), (Span(after, False),)
    if before == after or not before or not after:
        return unmarked
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    if max(len(old), len(new)) > MAX_TOKENS:
        return unmarked
    opcodes = _opcodes(old, new, effort or Effort())
    if opcodes is None:
        return unmarked
    blocks = _joined(opcodes, old)
    same = sum(len(token.strip()) for tag, i, j, _, _ in blocks if tag == "equal" for token in old[i:j])
    if 2 * same < MIN_SIMILARITY * (len(before) + len(after)):
        return unmarked
    return (
        tuple(span for tag, i, j, _, _ in blocks for span in _spans(old[i:j], tag)),
        tuple(span for tag, _, _, k, m in blocks for span in _spans(new[k:m], tag)),
    )


def _opcodes(old: list[str], new: list[str], effort: Effort) -> list[Opcode] | None:
    """What is equal in both and what is not, in order; None where finding that takes too much.

    The longest run of tokens that both have, and the same again before it and behind it. Before each search
    its work is known: each token of the one meets all its equals in the other.
    """
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    equals = Counter(new)
    work = list(accumulate((equals[token] for token in old), initial=0))
    allowed = min(effort.left, MAX_WORK)
    blocks: list[tuple[int, int, int]] = []
    ranges = [(0, len(old), 0, len(new))]
    while ranges:
        i, i_end, j, j_end = ranges.pop()
        if i == i_end or j == j_end:
            continue
        needed = work[i_end] - work[i]
        if needed > allowed:
            return None
        allowed -= needed
        effort.left -= needed
        at, there, size = matcher.find_longest_match(i, i_end, j, j_end)
        if size:
            blocks.append((at, there, size))
            ranges += [(i, at, j, there), (at + size, i_end, there + size, j_end)]
    return _between(sorted(blocks), len(old), len(new))


def _between(blocks: list[tuple[int, int, int]], num_old: int, num_new: int) -> list[Opcode]:
    """The equal blocks with what stands between them."""
    opcodes: list[Opcode] = []
    i = k = 0
    for at, there, size in [*blocks, (num_old, num_new, 0)]:
        at_end, there_end = at + size, there + size
        if i < at or k < there:
            opcodes.append(("replace", i, at, k, there))
        if size and opcodes and opcodes[-1][0] == "equal":
            _, at, _, there, _ = opcodes.pop()
        if size:
            opcodes.append(("equal", at, at_end, there, there_end))
        i, k = at_end, there_end
    return opcodes


def _spans(tokens: list[str], tag: str) -> list[Span]:
    """The piece, with the spaces around a change left out of its mark."""
    text = "".join(tokens)
    core = text.strip()
    if tag == "equal" or not core:
        return [Span(text, False)] if text else []
    start = text.index(core)
    parts = (Span(text[:start], False), Span(core, True), Span(text[start + len(core) :], False))
    return [part for part in parts if part.text]


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
