"""Which triples are fit to be pairs: lengths, form, and an instruction that can be understood alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from palate.data.unseen_text import speaks_of_unseen_text
from palate.errors import CallError

__all__ = ["Triple", "TripleFilters", "is_well_formed"]

_MENTIONS = re.compile(
    r"\b(?:this|the|that|these|those|given|above|provided|following|your|an?)\s+(?:\w+\s+){0,2}?"
    r"(?:extracts?|excerpts?|passages?|snippets?|paragraphs?)\b"
    r"|\b(?:mentioned|described|discussed) in the (?:text|document|article|source|material)\b"
    r"|\bthe author\b(?! of)|摘錄|摘录|上文|本文|這段|这段|段落",
    re.IGNORECASE,
)
"""Beside what the audit knows of: here somebody had an extract before him, so these words mean it."""

_CLOSING = re.compile(r"[.!?…。！？｡؟।۔:;][\"'”’»)\]）」』】*_`]*$")
_OPENING = "\"'“‘«([（「『【*_`#- "


@dataclass(frozen=True, slots=True)
class Triple:
    """An instruction and two answers to it: one written by a model, one taken from an extract."""

    instruction: str
    generated: str
    extracted: str


@dataclass(frozen=True, slots=True)
class TripleFilters:
    """Bounds in characters; the other filters have no options.

    `form` off lets answers begin in lower case and end without punctuation.
    """

    min_instruction: int = 10
    max_instruction: int = 1000
    min_answer: int = 100
    max_answer: int = 2000
    form: bool = True

    def __post_init__(self) -> None:
        for least, most in ((self.min_instruction, self.max_instruction), (self.min_answer, self.max_answer)):
            if not 1 <= least <= most:
                raise CallError(
                    f"lengths from {least} to {most} characters: there are none",
                    next="give a least of 1 or more, and a most that is not below it",
                )

    def reason(self, triple: Triple) -> str:
        """The name of the first filter that the triple does not pass; empty where it passes all.

        Of these: `instruction_length`, `extracted_length`, `generated_length`, `unseen_context`,
        `extracted_form`, `generated_form`, `identical`.
        """
        if not self.min_instruction <= len(triple.instruction) <= self.max_instruction:
            return "instruction_length"
        if not self.min_answer <= len(triple.extracted) <= self.max_answer:
            return "extracted_length"
        if not self.min_answer <= len(triple.generated) <= self.max_answer:
            return "generated_length"
        if speaks_of_unseen_text(triple.instruction) or _MENTIONS.search(triple.instruction):
            return "unseen_context"
        if self.form and not is_well_formed(triple.extracted):
            return "extracted_form"
        if self.form and not is_well_formed(triple.generated):
            return "generated_form"
        if triple.extracted.split() == triple.generated.split():
            return "identical"
        return ""


def is_well_formed(text: str) -> bool:
    """Whether it begins with a capital letter and ends with punctuation.

    A digit is as good as a capital, and so is a letter of a script that has none.
    """
    first = text.lstrip(_OPENING)[:1]
    return (first.isdigit() or (first.isalpha() and not first.islower())) and bool(
        _CLOSING.search(text.rstrip())
    )
