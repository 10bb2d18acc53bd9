"""A request as a chat-completions server reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from palate.asking.requests import AskedForm, Request
from palate.asking.structured import check_schema, response_format, with_schema_in_prompt
from palate.errors import CallError

__all__ = ["OTHER_LIMIT_NAME", "Dialect", "check_request", "request_body"]

OTHER_LIMIT_NAME = "max_completion_tokens"
"""How some servers call `max_tokens`, where thinking counts too."""

_OURS = (
    "model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed",
    "response_format", "n", "stream",
)  # fmt: skip
_SIMPLER: dict[AskedForm, AskedForm] = {"schema": "json_mode", "json_mode": "text"}


@dataclass(slots=True)
class Dialect:
    """What has been learnt of a server: what it knows about forms, and how it calls the limit on tokens."""

    forms: dict[str, AskedForm] = field(default_factory=dict)
    """By model; where it has none, `schema` is tried."""
    limit_names: dict[str, str] = field(default_factory=dict)

    def form(self, request: Request) -> AskedForm:
        """What to hold the server to."""
        return "text" if request.schema is None else self.forms.get(request.model, "schema")

    def limit_name(self, request: Request) -> str:
        """What the limit on the answer's tokens is called."""
        return self.limit_names.get(request.model, "max_tokens")

    def learn_simpler_form(self, model: str, refused: AskedForm) -> None:
        """The server refused this form for this model. Others in flight may have said so already."""
        if self.forms.get(model, "schema") == refused:
            self.forms[model] = _SIMPLER[refused]


def check_request(request: Request) -> None:
    """See that a request can be sent as it is.

    Raises:
        CallError: `extra` sets what the request has a field for, or the schema is no schema.
    """
    if taken := sorted(set(request.extra) & set(_OURS)):
        raise CallError(
            f"extra has {', '.join(taken)}",
            where="request",
            why="several answers, streams and what a request has fields for are not set through extra",
            next="use the request's own fields; one request is one answer: give each its own `sample`",
        )
    if request.schema is not None:
        check_schema(request.schema)


def request_body(request: Request, form: AskedForm = "text", limit_name: str = "max_tokens") -> bytes:
    """The body of a POST to `/chat/completions`.

    A lone surrogate, which no server takes, is replaced by the character for what cannot be shown.
    """
    messages = request.messages
    if request.schema is not None and form != "schema":
        messages = with_schema_in_prompt(messages, request.schema)
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [message.as_dict() for message in messages],
        "temperature": request.temperature,
        limit_name: request.max_tokens,
    }
    if request.top_p != 1.0:  # some servers refuse both temperature and top_p
        body["top_p"] = request.top_p
    if request.stop:
        body["stop"] = list(request.stop)
    if request.seed is not None:
        body["seed"] = request.seed
    if request.schema is not None and (wanted := response_format(request.schema, form)):
        body["response_format"] = wanted
    text = json.dumps({**body, **request.extra}, ensure_ascii=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
