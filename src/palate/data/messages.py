"""Values of a row as chat messages, or the reason why they are none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from palate.data.excerpts import excerpt
from palate.data.structured import describe, parse_cell
from palate.records import Message, Messages, Role

__all__ = [
    "Unusable",
    "completion_field",
    "is_message_list",
    "is_transcript",
    "messages_field",
    "prompt_field",
    "text_field",
    "turns",
    "value_of",
]

_ROLES = frozenset(get_args(Role))
_LIST_IN_CELL = re.compile(r"""\s*\[\s*\{\s*(['"])(role|content)\1\s*:""")
_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_UNSOUND = re.compile("[\x00\ud800-\udfff]")


class Unusable(Exception):
    """Why a row cannot be used. Never leaves this room: it becomes a `SetAside`."""


def value_of(fields: Mapping[str, Any], column: str) -> Any:
    """The value of a column that has to be there."""
    if column not in fields:
        raise Unusable(f'"{column}" is missing')
    if fields[column] is None:
        raise Unusable(f'"{column}" is null')
    return fields[column]


def text_field(fields: Mapping[str, Any], column: str) -> str:
    """A column of text with something in it."""
    return _text(value_of(fields, column), column)


def messages_field(fields: Mapping[str, Any], column: str) -> Messages:
    """A column of messages: a list of them, or a cell in which such a list is written."""
    value = value_of(fields, column)
    if isinstance(value, str):
        try:
            value = parse_cell(value) if value.strip() else []
        except ValueError as error:
            raise Unusable(f'"{column}" should hold a list of messages: {error}') from None
    if not isinstance(value, list | tuple):
        raise Unusable(f'"{column}" is {describe(value)}, a list of messages was expected')
    if not value:
        raise Unusable(f'"{column}" is empty')
    return tuple(_message(item, column) for item in value)


def prompt_field(fields: Mapping[str, Any], column: str) -> Messages:
    """A prompt in either form: text is what the user says."""
    return _either(fields, column, "user")


def completion_field(fields: Mapping[str, Any], column: str) -> Messages:
    """A completion in either form: text is what the assistant says."""
    return _either(fields, column, "assistant")


def _either(fields: Mapping[str, Any], column: str, role: Role) -> Messages:
    value = value_of(fields, column)
    if isinstance(value, str) and not is_message_list(value):
        return (Message(role, _text(value, column)),)
    if not isinstance(value, str | list | tuple):
        raise Unusable(f'"{column}" is {describe(value)}, text or a list of messages was expected')
    return messages_field(fields, column)


def is_message_list(value: object) -> bool:
    """Whether a value looks like messages, be it a list or text in which one is written."""
    if isinstance(value, str):
        return _LIST_IN_CELL.match(value) is not None
    return (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)
    )


def is_transcript(value: object) -> bool:
    """Whether a value is text that starts with a `Human:` or `Assistant:` turn and has another."""
    return isinstance(value, str) and _TURN.match(value) is not None and len(_TURN.findall(value)) > 1


def turns(text: str, column: str) -> Messages:
    """The turns of a transcript, without the white space around each; a turn may be empty."""
    head, *parts = _TURN.split(_sound(text, column))
    if head.strip():
        raise Unusable(rf'"{column}" does not start with a "\n\nHuman:" turn')
    names, contents = parts[0::2], parts[1::2]
    return tuple(
        Message("user" if name == "Human" else "assistant", content.strip())
        for name, content in zip(names, contents, strict=True)
    )


def _message(item: object, column: str) -> Message:
    if not isinstance(item, Mapping):
        raise Unusable(f'"{column}" holds {describe(item)} where a message was expected')
    if item.get("tool_calls") or item.get("function_call"):
        raise Unusable(f'"{column}" holds a tool call, which would be lost: only text is trained on')
    for key in ("role", "content"):
        if not isinstance(item.get(key), str):
            raise Unusable(
                f'"{column}" has a message whose {key} is {describe(item.get(key))}, text was expected'
            )
    role, content = item["role"], item["content"]
    if role not in _ROLES:
        raise Unusable(
            f'"{column}" has the unknown role "{excerpt(role, 30)}"; known: system, user, assistant, tool'
        )
    return Message(role, _sound(content, column))


def _text(value: object, column: str) -> str:
    if not isinstance(value, str):
        raise Unusable(f'"{column}" is {describe(value)}, text was expected')
    if not value.strip():
        raise Unusable(f'"{column}" is empty')
    return _sound(value, column)


def _sound(text: str, column: str) -> str:
    """The text, if a tokenizer can take it."""
    if found := _UNSOUND.search(text):
        if found[0] == "\x00":
            raise Unusable(f'"{column}" holds a NUL character: the text is damaged, or is not text')
        raise Unusable(f'"{column}" holds bytes that are not UTF-8, or half of a surrogate pair')
    return text
