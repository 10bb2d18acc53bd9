"""What is asked of a model, and what came of it. Nothing here knows a server, a file or a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from palate.records import Messages
from palate.watcher import Watcher

__all__ = ["AskedForm", "Asker", "Reply", "Request", "Status", "Usage"]

AskedForm = Literal["text", "schema", "json_mode"]
"""What a server was asked to hold to: nothing, the schema itself, or any JSON."""

Status = Literal["answered", "truncated", "refused", "empty", "unparsed", "failed", "not_asked"]
"""What became of a request. Only `answered` is an answer: `truncated` ran into the length limit, `refused`
was declined by the model or a filter, `empty` has no text, `unparsed` does not fit the schema that was asked
for, `failed` got no response in all its attempts, `not_asked` was never sent (a budget was spent)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question to one model. Two requests that are equal have one `key`, on every machine.

    `sample` tells apart several answers to the same question; `seed`, where given, is what a server that can
    repeat itself is told (each sample its own). `schema` is a JSON schema that the answer has to fit; `extra`
    goes to the server as it is.
    """

    model: str
    messages: Messages
    sample: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    seed: int | None = None
    schema: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Everything that can change the answer, as plain data."""
        return {
            "model": self.model,
            "messages": [message.as_dict() for message in self.messages],
            "sample": self.sample,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "stop": list(self.stop),
            "seed": self.seed,
            "schema": self.schema,
            "extra": dict(self.extra),
        }

    def key(self, server: str) -> str:
        """Names the whole request to one server: 64 hexadecimal digits."""
        text = json.dumps([server, self.content()], ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them; estimated where it said nothing."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cached_tokens: int = 0
    """Those of the prompt's that the server had at hand; some bill them lower."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a request: an answer, or the reason why there is none, with what was said kept."""

    request: Request
    status: Status
    text: str = ""
    """What the model said, whatever the status."""
    reason: str = ""
    """Why this is no answer, in words for a person; empty where it is one."""
    finish_reason: str | None = None
    """As the server gave it."""
    parsed: Any = None
    """The answer as the schema describes it, where one was asked for."""
    form: Literal["text", "schema", "json_mode", "repaired"] = "text"
    """How the structure came about: the server held to the schema, or to JSON, or it was mended here."""
    usage: Usage = Usage()
    cost: float | None = None
    """In the unit of the price list; None where the model has no price."""
    is_new: bool = True
    """False where it was in the store, and nothing was sent."""
    model: str = ""
    """The model the server says it was."""

    @property
    def is_answer(self) -> bool:
        """Whether `text` (and `parsed`) can be used."""
        return self.status == "answered"


class Asker(Protocol):
    """Whoever answers requests: a server, or the local model."""

    @property
    def server(self) -> str:
        """Where the answers come from, as it stands in lineage: a URL without secrets, or `local`."""
        ...

    def ask(self, requests: Iterable[Request], watcher: Watcher | None = None) -> Iterator[Reply]:
        """One reply to each request, as they come in; each is durable before it is given out.

        A request that fails is a reply that says so, and not an exception.

        Raises:
            PalateError: nothing can be asked at all (a wrong key, an unknown model, no server).
        """
        ...
