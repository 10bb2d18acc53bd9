"""A comparison as the text that a store keeps of it."""

from __future__ import annotations

import json
from typing import Any

from palate.records import Comparison, Messages, Provenance, as_messages

__all__ = ["comparison_in", "comparison_text"]


def comparison_text(comparison: Comparison) -> str:
    """JSON in ASCII, so that no database meets a character it has no word for.

    Raises:
        TypeError: the provenance holds what JSON cannot.
    """
    where = comparison.provenance
    return json.dumps(
        {
            "prompt": _plain(comparison.prompt),
            "completion_a": _plain(comparison.completion_a),
            "completion_b": _plain(comparison.completion_b),
            "provenance": {"source": where.source, "line": where.line, "detail": dict(where.detail)},
        }
    )


def comparison_in(text: str) -> Comparison:
    """The comparison that `comparison_text` wrote."""
    said: dict[str, Any] = json.loads(text)
    return Comparison(
        as_messages(said["prompt"]),
        as_messages(said["completion_a"]),
        as_messages(said["completion_b"]),
        Provenance(**said["provenance"]),
    )


def _plain(messages: Messages) -> list[dict[str, str]]:
    return [message.as_dict() for message in messages]
