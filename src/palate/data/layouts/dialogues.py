"""Rows that hold whole dialogues, or the turns before two answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from palate.data.conversations import after_prompt, common_turns
from palate.data.layouts.form import Layout, Row, Sides, has, scalars
from palate.data.messages import (
    Unusable,
    is_message_list,
    is_transcript,
    messages_field,
    text_field,
    turns,
    turns_field,
    value_of,
)
from palate.data.scalars import stated_gap
from palate.data.structured import describe, parse_cell

__all__ = ["DIALOGUE_LAYOUTS", "refuse_tools"]

_BOTH = has("chosen", "rejected")
# Beside one of these, chosen and rejected are answers and no whole dialogues.
_PROMPT_COLUMNS = ("question", "instruction", "conversations")


def _transcript(row: Row) -> Sides:
    dialogues = (turns(_whole_dialogue(row.fields, side), side) for side in ("chosen", "rejected"))
    return Sides(*common_turns(*dialogues), gap=stated_gap(row.fields))


def _whole_dialogue(fields: Mapping[str, Any], side: str) -> str:
    """The side with the dialogue before it, which some files keep in a `prompt` column instead."""
    text = text_field(fields, side)
    if fields.get("prompt") is None:
        return text
    prompt = text_field(fields, "prompt")
    if text.lstrip().startswith(prompt.strip()):
        return text
    if is_transcript(text):
        raise Unusable(f'"{side}" is a whole dialogue that does not start with "prompt"')
    return prompt + text


def _implicit(row: Row) -> Sides:
    sides = (messages_field(row.fields, side) for side in ("chosen", "rejected"))
    return Sides(*common_turns(*sides), gap=stated_gap(row.fields))


def _sharegpt(row: Row) -> Sides:
    column = "conversations" if "conversations" in row.fields else "messages"
    refuse_tools(row.fields, "tools")
    sides = {side: turns_field(row.fields, side) for side in ("chosen", "rejected")}
    prompt, (chosen, rejected) = after_prompt(messages_field(row.fields, column), sides)
    return Sides(prompt, chosen, rejected, gap=stated_gap(row.fields))


def _openai(row: Row) -> Sides:
    asked = value_of(row.fields, "input")
    if isinstance(asked, str):
        try:
            asked = parse_cell(asked)
        except ValueError as error:
            raise Unusable(f'"input" should hold an object with messages: {error}') from None
    if not isinstance(asked, Mapping):
        raise Unusable(f'"input" is {describe(asked)}, an object with messages was expected')
    refuse_tools(asked, "tools")
    prompt = messages_field({"input.messages": asked.get("messages")}, "input.messages")
    names = ("preferred_output", "non_preferred_output")
    prompt, (chosen, rejected) = after_prompt(prompt, {name: turns_field(row.fields, name) for name in names})
    return Sides(prompt, chosen, rejected)


def refuse_tools(fields: Mapping[str, Any], column: str) -> None:
    """Tools on offer are part of what the model reads: without them it would be another prompt."""
    tools = fields.get(column)
    if tools and not (isinstance(tools, str) and tools.strip() in ("", "[]", "{}", "null")):
        raise Unusable(f'"{column}" offers tools, which would be lost: only text is trained on')


def _arena(row: Row) -> Sides:
    winner = value_of(row.fields, "winner")
    sides = {letter: messages_field(row.fields, f"conversation_{letter}") for letter in "ab"}
    if winner not in ("model_a", "model_b"):
        said = (
            "a tie" if isinstance(winner, str) and winner.startswith("tie") else "neither model_a nor model_b"
        )
        raise Unusable(f'"winner" is {said}, so neither side is better')
    better, worse = ("a", "b") if winner == "model_a" else ("b", "a")
    models = (row.fields.get(f"model_{letter}") for letter in (better, worse))
    detail = scalars(dict(zip(("chosen_model", "rejected_model"), models, strict=True)))
    return Sides(*common_turns(sides[better], sides[worse]), detail)


def _claims_transcript(fields: Mapping[str, Any]) -> bool:
    return _BOTH(fields) and (is_transcript(fields["chosen"]) or is_transcript(fields.get("prompt")))


def _claims_implicit(fields: Mapping[str, Any]) -> bool:
    return (
        _BOTH(fields)
        and fields.get("prompt") is None
        and is_message_list(fields["chosen"])
        and is_message_list(fields["rejected"])
        and not any(column in fields for column in _PROMPT_COLUMNS)
    )


def _claims_sharegpt(fields: Mapping[str, Any]) -> bool:
    if not _BOTH(fields) or fields.get("prompt") is not None:
        return False
    # Lists beside "messages" are whole dialogues as a rule, and "messages" is one of them once more.
    return "conversations" in fields or ("messages" in fields and isinstance(fields["chosen"], Mapping))


DIALOGUE_LAYOUTS: dict[str, Layout] = {
    "transcript": Layout(
        r"chosen, rejected: whole dialogues with \n\nHuman: and \n\nAssistant: turns",
        _claims_transcript,
        _transcript,
    ),
    "implicit": Layout(
        "chosen, rejected: message lists that both begin with the prompt; no prompt column",
        _claims_implicit,
        _implicit,
    ),
    "sharegpt": Layout(
        "conversations (or messages): the turns before; chosen, rejected: a message with from and value, or "
        "role and content, a list of them, or text",
        _claims_sharegpt,
        _sharegpt,
    ),
    "openai": Layout(
        "input: an object with messages; preferred_output, non_preferred_output: message lists",
        has("input", "preferred_output", "non_preferred_output"),
        _openai,
    ),
    "arena": Layout(
        "conversation_a, conversation_b: whole dialogues as message lists; winner: model_a, model_b or a tie",
        has("conversation_a", "conversation_b", "winner"),
        _arena,
    ),
}
