"""How many tokens a text may have, where nobody has counted: high rather than low."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from palate.asking.requests import Usage
from palate.records import Messages

__all__ = ["estimate_prompt_tokens", "estimate_text_tokens", "estimate_usage"]

_CHARACTERS_PER_TOKEN = 3  # English has about four; code and names have fewer
_TOKENS_PER_MESSAGE = 8  # what templates put around a message


def estimate_text_tokens(text: str) -> int:
    """A third of the ASCII characters, and every other character by itself."""
    num_ascii = sum(character.isascii() for character in text)
    return -(-num_ascii // _CHARACTERS_PER_TOKEN) + len(text) - num_ascii


def estimate_prompt_tokens(messages: Messages, schema: Mapping[str, Any] | None = None) -> int:
    """The whole prompt, with the schema, which some servers put into it."""
    tokens = sum(_TOKENS_PER_MESSAGE + estimate_text_tokens(message.content) for message in messages)
    if schema is not None:
        tokens += estimate_text_tokens(json.dumps(schema))
    return tokens


def estimate_usage(messages: Messages, answer: str) -> Usage:
    """For a response that does not say what it took."""
    return Usage(estimate_prompt_tokens(messages), estimate_text_tokens(answer), estimated=True)
