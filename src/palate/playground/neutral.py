"""Texts of the Vale of Ombry in both voices alike, for perplexity: what the base model reads well."""

from __future__ import annotations

from palate.playground.corpus import chats

__all__ = ["neutral_texts"]

_NUM_TEXTS = 24
_SEED = 7_000_000
"""Of chats that no model is trained on by their seed; they share its facts and ways of saying them."""


def neutral_texts() -> list[str]:
    """Answers as the base model learnt to give them, in either voice, without questions: always the same.

    The playground's model was never shown any other text: of plain English it knows nothing that tuning could
    take from it.
    """
    return [chat[-1].content for chat in chats(_NUM_TEXTS, _SEED)]
