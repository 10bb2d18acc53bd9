"""`template_token`: marks of chat templates inside the text, where they pass for the template's own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from palate.data.audit.check import AuditedRecord, Check
from palate.data.audit.finding import CheckName, Finding
from palate.data.audit.set_aside import rows
from palate.data.audit.tally import Tally, around, named_sides

__all__ = ["TemplateTokens"]

# Spelled so by no human and by no other notation: a tokenizer that has them takes them for its own.
_HARD = (
    r"<\|(?:im_start|im_end|im_sep|eot_id|eom_id|start_header_id|end_header_id|begin_of_text|end_of_text|"
    r"endoftext|endofprompt|startoftext|user|assistant|system|end|eos|bos|pad|return|message|channel|"
    r"START_OF_TURN_TOKEN|END_OF_TURN_TOKEN|python_tag)\|>"
    r"|<start_of_turn>|<end_of_turn>|<<SYS>>|<</SYS>>|<｜(?:User|Assistant|end▁of▁sentence|begin▁of▁sentence)｜>"
)
# These also stand in HTML, in mathematics, in tutorials, or in plain dialogues.
_SOFT = (
    r"</?s>|\[/?INST\]"
    r"|^\#\#\#[ ](?:Instruction|Response|Input|Human|Assistant):?[ \t]*$"
    r"|\n\n(?:Human|Assistant|H|A):(?=\s|$)"
)
_HINTS = ("<", "[", "###", "\n\nH", "\n\nA")


class TemplateTokens(Check):
    """Marks of chat templates, by side. `special_tokens` are those of the tokenizer that is trained with."""

    name: CheckName = "template_token"

    def __init__(self, special_tokens: Iterable[str] = ()) -> None:
        own = sorted({token for token in special_tokens if len(token) > 1}, key=len, reverse=True)
        self._own = frozenset(own)
        hard = "|".join([*(re.escape(token) for token in own), _HARD])
        self._pattern = re.compile(f"(?P<hard>{hard})|(?P<soft>{_SOFT})", re.MULTILINE | re.VERBOSE)
        # A hint is a substring, found many times faster than the pattern matches.
        self._hints = (*_HINTS, *(t for t in own if not any(hint in t for hint in _HINTS)))
        self._hard_answers, self._others = Tally(), Tally()
        self._marks: dict[str, Counter[str]] = {}

    def see(self, record: AuditedRecord) -> None:
        found: list[tuple[str, str, bool]] = []
        for side, messages in (("prompt", record.record.prompt), *named_sides(record)):
            for message in messages:
                text = message.content
                if not any(hint in text for hint in self._hints):
                    continue
                for mark in {m.group().strip(): m for m in self._pattern.finditer(text)}.values():
                    found.append((side, around(text, *mark.span()), mark.lastgroup == "hard"))
                    self._marks.setdefault(mark.group().strip(), Counter())[side] += 1
        if not found:
            return
        hard = [(side, quote) for side, quote, is_hard in found if is_hard and side != "prompt"]
        side, quote = (hard or [found[0][:2]])[0]
        (self._hard_answers if hard else self._others).add(record, side=side, text=quote)

    def findings(self) -> Iterator[Finding]:
        hard, others = self._hard_answers, self._others
        if not hard.count + others.count:
            return
        most = sorted(self._marks.items(), key=lambda item: -item[1].total())
        named = ", ".join(f"{mark} ({self._sides(sides)})" for mark, sides in most[:4])
        figures: dict[str, Any] = {
            "num_special_in_completions": hard.count,
            "marks": {mark: dict(sides) for mark, sides in most[:50]},
        }
        meaning = f"Marks of chat templates stand inside the text: {named}."
        if hard.count:
            meaning += (
                f" In {rows(hard.count)} one that no human writes is in a completion: a tokenizer that "
                "knows it reads a turn that ends or begins there, and the model learns to forge turns."
            )
        else:
            meaning += (
                " The rows may have been exported after a template was applied, or a dialogue not divided; "
                "or the mark means something else there, as <s> does in HTML."
            )
        yield Finding(
            self.name,
            "error" if hard.count else "warning",
            hard.count + others.count,
            tuple((hard.examples + others.examples)[:5]),
            meaning,
            "Export the rows as messages, without the template; write dialogues as a list of turns."
            + (" data.audit.allow=[template_token] trains on them as they are." if hard.count else ""),
            figures,
            hard.count + others.count,
        )

    @staticmethod
    def _sides(sides: Counter[str]) -> str:
        return ", ".join(f"{count:,} in {side}" for side, count in sides.most_common())
