"""Answers that stand in the target word for word: learnt by heart, or the target is made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from palate.evaluate.style.features import words_of

__all__ = ["copies_of"]

_MIN_WORDS = 8
"""A shorter answer may be the same as another's by chance."""


def copies_of(answers: Mapping[str, Sequence[Sequence[str]]], target: Sequence[str]) -> Iterator[str]:
    """A warning for each model with answers that are in the target as a whole, but for case and signs."""
    corpus = "\n".join(_folded(text) for text in target)
    for name, of_model in answers.items():
        texts = [_folded(text) for own in of_model for text in own]
        long_enough = [text for text in texts if text.count(" ") > _MIN_WORDS]
        num = sum(text in corpus for text in long_enough)
        if num:
            yield (
                f"{num:,} of {len(texts):,} answers of {name} stand in the target word for word: "
                "being close by copying is no style."
            )


def _folded(text: str) -> str:
    return f" {' '.join(words_of(text))} "
