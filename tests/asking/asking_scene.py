"""What tests ask, and limits whose pauses are short."""

from __future__ import annotations

from typing import Any

from palate.asking import Limits, Request
from palate.records import Message

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "score": {"type": "integer"}},
    "required": ["title", "score"],
    "additionalProperties": False,
}


def quick(**limits: Any) -> Limits:
    """Limits of a test: the same rules, short pauses."""
    return Limits(**{"first_backoff_seconds": 0.01, "timeout_seconds": 20.0, "max_attempts": 4, **limits})


def question(text: str, **fields: Any) -> Request:
    """A request to model `m` unless another is named."""
    return Request(fields.pop("model", "m"), (Message("user", text),), **fields)
