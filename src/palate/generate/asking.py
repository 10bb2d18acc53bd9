"""Many questions to models, and their replies in the order of the questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palate.asking import Asker, Reply, Request, ask_in_order
from palate.errors import CallError
from palate.records import Messages
from palate.watcher import Watcher

__all__ = [
    "Generator",
    "ask_all",
    "check_sampling",
    "count_replies",
    "lineage",
    "lines_of",
    "prompt_row",
    "unusable_row",
]


@dataclass(frozen=True, slots=True)
class Generator:
    """A model, and who asks it."""

    asker: Asker
    model: str


def ask_all(
    questions: Sequence[tuple[Generator, Request]], watcher: Watcher | None = None
) -> list[tuple[Generator, Reply]]:
    """A reply to each question, in the order of the questions, beside who gave it.

    Raises:
        PalateError: nothing can be asked at all. What came in before is in the store.
    """
    replies = ask_in_order([(generator.asker, request) for generator, request in questions], watcher)
    return [(generator, reply) for (generator, _), reply in zip(questions, replies, strict=True)]


def check_sampling(temperature: float, top_p: float, max_tokens: int) -> None:
    """See that answers can be drawn so.

    Raises:
        CallError: a number is out of bounds.
    """
    for name, value, is_fit, wanted in (
        ("temperature", temperature, 0 <= temperature <= 5, "from 0 to 5"),
        ("top_p", top_p, 0 < top_p <= 1, "above 0 and up to 1"),
        ("max_tokens", max_tokens, max_tokens >= 1, "1 or more"),
    ):
        if not is_fit:
            raise CallError(f"{name} = {value}: it has to be {wanted}")


def lineage(generator: Generator, reply: Reply) -> dict[str, Any]:
    """How an answer came about: what goes into the provenance of what is made from it."""
    request = reply.request
    said: dict[str, Any] = {
        "model": request.model,
        "server": generator.asker.server,
        "temperature": request.temperature,
        "sample": request.sample,
        "request": request.key(generator.asker.server),
    }
    if reply.form == "repaired":
        said["form"] = reply.form
    return said


def lines_of(prompts: Sequence[Messages], lines: Sequence[int | None] | None) -> Sequence[int | None]:
    """Where each prompt stands in its source; nowhere where nobody says.

    Raises:
        CallError: there is not one line for each.
    """
    lines = [None] * len(prompts) if lines is None else lines
    if len(lines) != len(prompts):
        raise CallError(f"{len(prompts)} prompts with {len(lines)} lines: each has one")
    return lines


def prompt_row(prompt: Messages, source: str, line: int | None) -> dict[str, Any]:
    """Which prompt a row that was set aside is about."""
    return {"source": source, "line": line, "prompt": [message.as_dict() for message in prompt]}


def unusable_row(generator: Generator, reply: Reply) -> dict[str, Any]:
    """A reply that is no answer, as a row of what was set aside."""
    return {
        "stage": "asking",
        "reason": f"{reply.status}: {reply.reason}" if reply.reason else reply.status,
        **lineage(generator, reply),
        "text": reply.text,
    }


def count_replies(replies: Sequence[Reply]) -> dict[str, Any]:
    """Requests by status, and what kept them from an answer; the statuses add up to `num_requests`."""
    reasons = Counter((reply.status, reply.reason) for reply in replies if not reply.is_answer)
    return {
        "num_requests": len(replies),
        "num_from_store": sum(not r.is_new and r.status not in ("failed", "not_asked") for r in replies),
        "statuses": dict(Counter(reply.status for reply in replies).most_common()),
        "reasons": [
            {"status": status, "reason": reason, "count": count}
            for (status, reason), count in reasons.most_common(20)
        ],
    }
