"""Texts as tokens to be read and scored, with what hangs together: a prompt's answers, a text's windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palate.engine import Branch, Policy, Renderer
from palate.evaluate.reading import branches_of
from palate.records import Answer, Message

__all__ = ["WINDOW", "Passages", "passages_of_answers", "passages_of_texts"]

WINDOW = 512
"""The most tokens of a text that are read together; the first of each window is not predicted."""


@dataclass(frozen=True, slots=True)
class Passages:
    """Branches, and which unit each belongs to: units are what is independent of each other."""

    branches: tuple[Branch, ...]
    units: tuple[int, ...]
    problems: tuple[str, ...] = ()
    """Why something could not be read, once for each such text."""


def passages_of_answers(policy: Policy, template: str, answers: Sequence[Sequence[Answer]]) -> Passages:
    """Each prompt's answers behind it, as the model was asked. A prompt is a unit.

    An answer's text is made tokens anew, which may be others than those that were drawn.
    """
    renderer = Renderer(policy.tokenizer, template, policy.stop_ids())
    told = [(unit, answer) for unit, own in enumerate(answers) for answer in own if answer.text.strip()]
    items = [(answer.prompt, (Message("assistant", answer.text),)) for _, answer in told]
    return _kept([unit for unit, _ in told], branches_of(policy, renderer, items))


def passages_of_texts(policy: Policy, texts: Sequence[str]) -> Passages:
    """Plain texts in windows, with whatever tokens the tokenizer puts before a text. A text is a unit."""
    room = int(getattr(policy.text_config, "max_position_embeddings", 0) or WINDOW)
    width = min(room, WINDOW)
    found: list[Branch | str] = []
    units = []
    for unit, text in enumerate(texts):
        ids = np.asarray(policy.tokenizer(text, verbose=False)["input_ids"], dtype=np.int64)
        for start in range(0, len(ids), width):
            window = ids[start : start + width]
            if len(window) < 2:  # nothing stands before its only token
                continue
            units.append(unit)
            found.append(Branch(window, np.arange(len(window)) > 0))
    return _kept(units, found)


def _kept(units: Sequence[int], found: Sequence[Branch | str]) -> Passages:
    read = [(unit, one) for unit, one in zip(units, found, strict=True) if not isinstance(one, str)]
    return Passages(
        tuple(branch for _, branch in read),
        tuple(unit for unit, _ in read),
        tuple(one for one in found if isinstance(one, str)),
    )
