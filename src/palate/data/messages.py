"""Values of a row as chat messages, or the reason why they are none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from palate.data.excerpts import excerpt
from palate.data.structured import describe, parse_cell
from palate.records import Message, Messages, Role

__all__ = [
    "Unusable",
    "completion_field",
    "is_message_list",
    "is_transcript",
    "list_field",
    "messages_field",
    "object_in",
    "prompt_field",
    "text_field",
    "turns",
    "turns_field",
    "value_of",
]

_ROLES = frozenset(get_args(Role))
_LIST_IN_CELL = re.compile(r"""\s*\[\s*\{\s*(['"])(role|content|from|value)\1\s*:""")
_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_SHAREGPT_ROLES: dict[str, Role] = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "model": "assistant",
    "system": "system", "tool": "tool", "observation": "tool",
}  # fmt: skip
"""Who speaks in a turn of `from` and `value`, as ShareGPT and LLaMA-Factory write it."""
_MESSAGE_KEYS = ({"role", "content"}, {"from", "value"})
_TOOL_CALL = "holds a tool call, which would be lost: only text is trained on"


class Unusable(Exception):
    """Why a row cannot be used. Never leaves this room: it becomes a `SetAside` with the same `code`."""

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.code = code


# Columns that say what was asked, in any layout: all others hold a side of the comparison.
_ASKING = frozenset((
    "prompt", "question", "instruction", "input", "system", "idea", "context", "history", "info", "post",
    "article", "title", "subreddit", "messages", "conversations",
))  # fmt: skip


def _said(fields: Mapping[str, Any], column: str) -> Any:
    """The value of a column in which somebody says something."""
    if column in fields and fields[column] is None:
        raise _empty(column, "null")
    return value_of(fields, column)


def _empty(column: str, how: str) -> Unusable:
    code = "" if column.rpartition(".")[2].casefold() in _ASKING else "empty_side"
    return Unusable(f'"{column}" is {how}', code)


def value_of(fields: Mapping[str, Any], column: str) -> Any:
    """The value of a column that has to be there."""
    if column not in fields:
        raise Unusable(f'"{column}" is missing')
    if fields[column] is None:
        raise Unusable(f'"{column}" is null')
    return fields[column]


def text_field(fields: Mapping[str, Any], column: str) -> str:
    """A column of text with something in it."""
    return _text(_said(fields, column), column)


def messages_field(fields: Mapping[str, Any], column: str) -> Messages:
    """A column of messages: a list of them, or a cell in which such a list is written."""
    value = _said(fields, column)
    if isinstance(value, str):
        try:
            value = parse_cell(value) if value.strip() else []
        except ValueError as error:
            raise Unusable(f'"{column}" should hold a list of messages: {error}') from None
    if not isinstance(value, list | tuple):
        raise Unusable(f'"{column}" is {describe(value)}, a list of messages was expected')
    if not value:
        raise _empty(column, "empty")
    return tuple(_message(item, column) for item in value)


def prompt_field(fields: Mapping[str, Any], column: str) -> Messages:
    """A prompt in either form: text is what the user says."""
    return _either(fields, column, "user")


def completion_field(fields: Mapping[str, Any], column: str) -> Messages:
    """A completion in either form: text is what the assistant says."""
    return _either(fields, column, "assistant")


def _either(fields: Mapping[str, Any], column: str, role: Role) -> Messages:
    value = _said(fields, column)
    if isinstance(value, str) and not is_message_list(value):
        return (Message(role, _text(value, column)),)
    if not isinstance(value, str | list | tuple):
        raise Unusable(f'"{column}" is {describe(value)}, text or a list of messages was expected')
    return messages_field(fields, column)


def list_field(fields: Mapping[str, Any], column: str) -> Sequence[Any]:
    """A list, or a cell in which one is written."""
    value = _said(fields, column)
    if isinstance(value, str):
        try:
            value = parse_cell(value) if value.strip() else []
        except ValueError as error:
            raise Unusable(f'"{column}" should hold a list: {error}') from None
    if not isinstance(value, list | tuple):
        raise Unusable(f'"{column}" is {describe(value)}, a list was expected')
    return value


def object_in(value: object) -> object:
    """The object that is written in a cell, as CSV has it; the value itself where there is none."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            written = parse_cell(value)
        except ValueError:
            return value
        return written if isinstance(written, Mapping) else value
    return value


def turns_field(fields: Mapping[str, Any], column: str) -> Messages:
    """A completion as text, as one message (also written in a cell), or as a list of messages."""
    value = fields.get(column)
    # An answer may be JSON of its own: only what is a message and nothing else is taken for one.
    if isinstance(value, str) and isinstance(written := object_in(value), Mapping):
        value = written if set(written) in _MESSAGE_KEYS else value
    if isinstance(value, Mapping):
        return (_message(value, column),)
    return completion_field(fields, column)


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
    # The type first: to ask whether something is a Mapping takes longer than all the rest.
    if type(item) is not dict and not isinstance(item, Mapping):
        raise Unusable(f'"{column}" holds {describe(item)} where a message was expected')
    if item.get("tool_calls") or item.get("function_call"):
        raise Unusable(f'"{column}" {_TOOL_CALL}')
    if "role" not in item and "from" in item:
        return _sharegpt_turn(item, column)
    role, content = item.get("role"), item.get("content")
    if not isinstance(role, str):
        raise Unusable(f'"{column}" has a message whose role is {describe(role)}, text was expected')
    if role not in _ROLES:
        raise Unusable(
            f'"{column}" has the unknown role "{excerpt(role, 30)}"; known: system, user, assistant, tool'
        )
    return Message(cast(Role, role), _content(content, "content", column))


def _sharegpt_turn(item: Mapping[str, Any], column: str) -> Message:
    speaker, known = item["from"], ", ".join(_SHAREGPT_ROLES)
    if not isinstance(speaker, str):
        raise Unusable(f'"{column}" has a message whose from is {describe(speaker)}, text was expected')
    if speaker == "function_call":
        raise Unusable(f'"{column}" {_TOOL_CALL}')
    if speaker not in _SHAREGPT_ROLES:
        raise Unusable(f'"{column}" has the unknown speaker "{excerpt(speaker, 30)}"; known: {known}')
    return Message(_SHAREGPT_ROLES[speaker], _content(item.get("value"), "value", column))


def _content(value: object, key: str, column: str) -> str:
    """What a turn says: text, or a list of nothing but text parts, which follow one another."""
    if isinstance(value, list | tuple) and value:
        parts = [part.get("text") if isinstance(part, Mapping) else None for part in value]
        if not all(isinstance(part, str) for part in parts):
            raise Unusable(f'"{column}" has a message with parts that are no text: only text is trained on')
        value = "".join(str(part) for part in parts)
    if not isinstance(value, str):
        raise Unusable(f'"{column}" has a message whose {key} is {describe(value)}, text was expected')
    return _sound(value, column)


def _text(value: object, column: str) -> str:
    if not isinstance(value, str):
        raise Unusable(f'"{column}" is {describe(value)}, text was expected')
    if not value.strip():
        raise _empty(column, "empty")
    return _sound(value, column)


def _sound(text: str, column: str) -> str:
    """The text, if a tokenizer can take it."""
    if "\x00" in text:
        raise Unusable(f'"{column}" holds a NUL character: the text is damaged, or is not text')
    # Both are many times faster than a pattern that looks at each character, and most text is ASCII.
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unusable(
                f'"{column}" holds bytes that are not UTF-8, or half of a surrogate pair'
            ) from None
    return text
