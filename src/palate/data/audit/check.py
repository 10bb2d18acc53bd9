"""What a check sees of the data, and what it is: one pass over the rows, then its findings."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import Literal

from palate.data.audit.finding import CheckName, Finding
from palate.data.audit.folding import folded
from palate.data.kinds import Record
from palate.records import Labelled, Messages, Pair, SetAside

__all__ = ["AuditedRecord", "Check", "Side", "text_of"]

Side = Literal["train", "eval"]
"""Whether a row is of the audited file, or of the one it is held against."""


class AuditedRecord:
    """A record with what several checks need of it, each computed once and only when asked for.

    All texts are of whole conversations, roles included, so that no two different prompts are equal.
    """

    def __init__(self, record: Record, side: Side, number: int) -> None:
        self.record = record
        self.side = side
        self.number = number
        """Its place among the records of its side, from 0."""

    @property
    def place(self) -> str:
        """`file:line`."""
        origin = self.record.provenance
        return origin.source if origin.line is None else f"{origin.source}:{origin.line}"

    @cached_property
    def completions(self) -> tuple[Messages, ...]:
        """Its completions: a pair's two, chosen first; a ranking's, best first; a label's one."""
        if isinstance(self.record, Pair):
            return self.record.chosen, self.record.rejected
        return (self.record.completion,) if isinstance(self.record, Labelled) else self.record.completions

    @cached_property
    def prompt_text(self) -> str:
        """What is asked, roles included, without a system message."""
        return text_of(tuple(message for message in self.record.prompt if message.role != "system"))

    @cached_property
    def completion_texts(self) -> tuple[str, ...]:
        """What each completion says."""
        return tuple(text_of(completion) for completion in self.completions)

    @cached_property
    def asked_key(self) -> int:
        """A 64-bit name of the whole prompt, with its system message: the same words, said to another
        character, may well deserve another answer."""
        if all(message.role != "system" for message in self.record.prompt):
            return self.prompt_key
        return _key("\x00".join(f"{message.role}\x00{message.content}" for message in self.record.prompt))

    @cached_property
    def prompt_key(self) -> int:
        """A 64-bit name of the prompt's text."""
        return _key(self.prompt_text)

    @cached_property
    def folded_prompt(self) -> str:
        """The prompt's text as `folded`."""
        return folded(self.prompt_text)

    @cached_property
    def folded_completions(self) -> tuple[str, ...]:
        """What each completion says, as `folded`."""
        return tuple(folded(text) for text in self.completion_texts)

    @cached_property
    def folded_prompt_key(self) -> int:
        """A 64-bit name of the prompt's text as `folded`."""
        return _key(self.folded_prompt)

    @cached_property
    def completion_keys(self) -> tuple[int, ...]:
        """A 64-bit name of each completion's text."""
        return tuple(_key(text) for text in self.completion_texts)


class Check(ABC):
    """One check. Memory may grow by some bytes a row, never by its text: a million rows have to fit."""

    name: CheckName

    @abstractmethod
    def see(self, record: AuditedRecord) -> None:
        """A record that was kept."""

    def see_set_aside(self, aside: SetAside, side: Side) -> None:
        """A row that was not."""
        del aside, side

    @abstractmethod
    def findings(self) -> Iterable[Finding]:
        """What was found, after the last row: none where the data are clean."""


def text_of(messages: Messages) -> str:
    """A conversation as one text: the words of a single turn, or each turn after its role."""
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"[{message.role}] {message.content}" for message in messages)


def _key(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
