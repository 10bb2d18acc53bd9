"""Comparisons whose better side can be told from the text alone, for scripted judges that have to.

An answer is about its prompt's topic or not, and has a worth from 0 to 9 that is told in it:

    About lantern-3: indeed, a plain fact (worth 7). Mist drifts over the hill.

Its length has nothing to do with its worth. `indeed` marks what models of the family `own` write.
"""

from __future__ import annotations

import re
from random import Random

from palate.records import Comparison, Message, Provenance

__all__ = ["SIGNATURE", "answer", "comparisons", "is_about", "topic_of", "worth_of"]

SIGNATURE = "indeed"
_TOPICS = ("lantern", "harbour", "walnut", "glacier", "violin", "comet", "orchard", "saddle")
_TOPIC = re.compile(rf"\b(?:{'|'.join(_TOPICS)})-\d+\b")
_WORTH = re.compile(r"\(worth (\d)\)")
_FILLER = ("Mist drifts over the hill.", "A cart stands by the road.", "Rain falls on slate roofs.")


def topic_of(text: str) -> str | None:
    """The first topic that a text names."""
    found = _TOPIC.search(text)
    return found[0] if found else None


def worth_of(text: str) -> int:
    """The first worth that a text tells; without one, nothing."""
    found = _WORTH.search(text)
    return int(found[1]) if found else 0


def is_about(text: str, prompt: str) -> bool:
    """Whether an answer is to this prompt."""
    return topic_of(text) is not None and topic_of(text) == topic_of(prompt)


def answer(topic: str, worth: int, num_fillers: int = 0, *, own: bool = False) -> str:
    """An answer as the module describes it."""
    fact = f"{SIGNATURE}, a plain fact" if own else "a plain fact"
    fillers = "".join(f" {_FILLER[i % len(_FILLER)]}" for i in range(num_fillers))
    return f"About {topic}: {fact} (worth {worth}).{fillers}"


def comparisons(num: int, *, seed: int = 0, share_of_ties: float = 0.1) -> list[Comparison]:
    """So many comparisons of `own-writer` against `other-writer`, each of a prompt of its own.

    Worth, length, family and side are drawn independently of each other.
    """
    draw, made = Random(seed), []
    for number in range(num):
        topic = f"{_TOPICS[number % len(_TOPICS)]}-{number}"
        worths = draw.sample(range(1, 10), 2)
        if draw.random() < share_of_ties:
            worths[1] = worths[0]
        lengths = draw.sample(range(12), 2)
        own_first = draw.random() < 0.5
        texts = [
            answer(topic, worth, length, own=own)
            for worth, length, own in zip(worths, lengths, (own_first, not own_first), strict=True)
        ]
        models = ("own-writer", "other-writer") if own_first else ("other-writer", "own-writer")
        detail = {side: {"model": model} for side, model in zip("ab", models, strict=True)}
        made.append(
            Comparison(
                (Message("user", f"Tell me about {topic}."),),
                (Message("assistant", texts[0]),),
                (Message("assistant", texts[1]),),
                Provenance("scene", number + 1, detail),
            )
        )
    return made
