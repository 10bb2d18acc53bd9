"""Which completion is meant, whoever calls it `a`: sides that hold across verdicts and votes.

A comparison's id does not say which of the two stands first, so one record's `a` may be another's `b`. Here a
side is named by its content. Swapping `a` and `b` then changes no figure, and neither side is by its name the
better one: which comes first is the toss of a hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from palate.records import Comparison, Messages, Provenance, Vote, content_id

__all__ = [
    "Label",
    "Names",
    "Preferred",
    "are_identical",
    "label_of",
    "most",
    "names_of",
    "pool_votes",
    "score_of_a",
    "side_of",
]

Preferred = Literal["a", "b", "tie"]

Label = Literal["one", "other", "tie"]
"""A preference by content: `one` is the completion whose content hash comes first."""

_SCORES: Mapping[Preferred, float] = {"a": 1.0, "tie": 0.5, "b": 0.0}


def score_of_a(preferred: Preferred) -> float:
    """1 where `a` is preferred, 0 where `b` is, 1/2 for a tie."""
    return _SCORES[preferred]


def are_identical(comparison: Comparison) -> bool:
    """Whether the two sides hold the same: no preference between them means anything."""
    return comparison.completion_a == comparison.completion_b


class Names(NamedTuple):
    """What a comparison is called by its content."""

    id: str
    prompt_id: str
    a_is_one: bool
    """Whether its `a` is the completion that labels call `one`."""


def names_of(comparison: Comparison) -> Names:
    """A comparison's names. Each is a hash of whole texts, and a card asks for them often: they are kept."""
    return _names(comparison.prompt, comparison.completion_a, comparison.completion_b)


@lru_cache(maxsize=2**16)
def _names(prompt: Messages, a: Messages, b: Messages) -> Names:
    comparison = Comparison(prompt, a, b, Provenance(""))
    return Names(comparison.id, comparison.prompt_id, content_id(a) <= content_id(b))


def label_of(comparison: Comparison, preferred: Preferred) -> Label:
    """The preference by content."""
    if preferred == "tie":
        return "tie"
    return "one" if (preferred == "a") == names_of(comparison).a_is_one else "other"


def side_of(comparison: Comparison, label: Label) -> Preferred:
    """A preference by content as this comparison names its sides: `label_of` undone."""
    if label == "tie":
        return "tie"
    return "a" if (label == "one") == names_of(comparison).a_is_one else "b"


def pool_votes(votes: Iterable[Vote]) -> dict[str, Label]:
    """What people say of each comparison, by its id: the choice of most of them, a tie where they are level.

    `both_bad` prefers neither and counts as a tie. Votes on two identical completions say nothing and are
    left out.
    """
    labels: dict[str, list[Label]] = {}
    for vote in votes:
        if are_identical(vote.comparison):
            continue
        preferred: Preferred = "tie" if vote.preferred == "both_bad" else vote.preferred
        labels.setdefault(names_of(vote.comparison).id, []).append(label_of(vote.comparison, preferred))
    return {comparison: most(of_one) for comparison, of_one in labels.items()}


def most(labels: Iterable[Label]) -> Label:
    """The most common label; a tie where the most common ones are level, or there is none."""
    top = Counter(labels).most_common(2)
    return top[0][0] if top and (len(top) == 1 or top[0][1] > top[1][1]) else "tie"
