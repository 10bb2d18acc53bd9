"""`unseen_context`: prompts that speak of a text nobody gave."""

from __future__ import annotations

from collections.abc import Iterator

from palate.data.audit.check import AuditedRecord, Check
from palate.data.audit.finding import CheckName, Finding
from palate.data.audit.tally import Tally
from palate.data.excerpts import excerpt
from palate.data.unseen_text import MAX_CHARACTERS, speaks_of_unseen_text

__all__ = ["UnseenContext"]


class UnseenContext(Check):
    """Prompts that speak of an extract, a context or its authors where there is none to see."""

    name: CheckName = "unseen_context"

    def __init__(self) -> None:
        self._found = Tally()
        self._num_rows = 0

    def see(self, record: AuditedRecord) -> None:
        self._num_rows += 1
        messages = record.record.prompt
        if len(messages) > 4 or sum(len(message.content) for message in messages) > MAX_CHARACTERS:
            return
        # Turns are joined without a line break, which would pass for a given text.
        if found := speaks_of_unseen_text(" ".join(message.content for message in messages)):
            prompt = excerpt(record.prompt_text, 120)
            self._found.add(record, prompt=prompt, speaks_of=excerpt(found.group(), 40))

    def findings(self) -> Iterator[Finding]:
        if count := self._found.count:
            share = count / self._num_rows
            yield Finding(
                self.name,
                "warning",
                count,
                tuple(self._found.examples),
                f"{count:,} of {self._num_rows:,} prompts ({share:.1%}) speak{'s' * (count == 1)} of a text "
                "that is not in the prompt. Who cannot see it can only make the answer up, and that is what "
                "is learned.",
                "Put the text into the prompt, or drop these rows; palate generate triples makes "
                "instructions that stand by themselves.",
                {"num_rows": self._num_rows, "share": share},
                count,
            )
