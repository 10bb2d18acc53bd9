"""Rows with a column for the prompt, one for chosen and one for rejected, in text or in messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from palate.data.conversations import after_prompt, with_prompt_inside
from palate.data.layouts.form import Layout, Row, Sides, has
from palate.data.messages import (
    completion_field,
    is_message_list,
    is_transcript,
    messages_field,
    prompt_field,
    text_field,
)
from palate.data.scalars import stated_gap
from palate.records import Message

__all__ = ["PAIR_LAYOUTS"]


def _strings(row: Row) -> Sides:
    fields = row.fields
    return Sides(
        (Message("user", text_field(fields, "prompt")),),
        (Message("assistant", text_field(fields, "chosen")),),
        (Message("assistant", text_field(fields, "rejected")),),
        gap=stated_gap(fields),
    )


def _messages(row: Row) -> Sides:
    prompt, chosen, rejected = (messages_field(row.fields, name) for name in ("prompt", "chosen", "rejected"))
    prompt, (chosen, rejected) = after_prompt(prompt, {"chosen": chosen, "rejected": rejected})
    return Sides(prompt, chosen, rejected, gap=stated_gap(row.fields))


def _mixed(row: Row) -> Sides:
    return _either_form(row, "prompt", "chosen", "rejected")


def _question(row: Row) -> Sides:
    return _either_form(row, "question", "chosen", "rejected")


def _stance(row: Row) -> Sides:
    if row.position < int(row.num_rows * row.support_ratio):
        return replace(_either_form(row, "prompt", "support", "oppose"), detail={"prefers": "support"})
    return replace(_either_form(row, "prompt", "oppose", "support"), detail={"prefers": "oppose"})


def _either_form(row: Row, prompt: str, chosen: str, rejected: str) -> Sides:
    sides = {name: completion_field(row.fields, name) for name in (chosen, rejected)}
    asked = prompt_field(row.fields, prompt)
    # A message list says itself where it ends; text may be one of several turns that both sides repeat.
    if not is_message_list(row.fields[prompt]) and all(
        side[0].role != "assistant" for side in sides.values()
    ):
        asked, better, worse = with_prompt_inside(asked, sides[chosen], sides[rejected])
    else:
        asked, (better, worse) = after_prompt(asked, sides)
    return Sides(asked, better, worse, gap=stated_gap(row.fields))


def _pair_forms(fields: Mapping[str, Any]) -> set[str]:
    """Which of `text` and `messages` stand in prompt, chosen and rejected; empty where none of this fits."""
    values = [fields.get(column) for column in ("prompt", "chosen", "rejected")]
    if is_transcript(values[0]) or is_transcript(values[1]):
        return set()
    if any(is_message_list(value) for value in values):
        known = all(is_message_list(value) or isinstance(value, str) for value in values)
        return {"messages" if is_message_list(value) else "text" for value in values} if known else set()
    return {"text"} if all(isinstance(value, str) for value in values) else set()


PAIR_LAYOUTS: dict[str, Layout] = {
    "strings": Layout(
        "prompt, chosen, rejected: all text", lambda fields: _pair_forms(fields) == {"text"}, _strings
    ),
    "messages": Layout(
        "prompt, chosen, rejected: all message lists, or cells holding them",
        lambda fields: _pair_forms(fields) == {"messages"},
        _messages,
    ),
    "mixed": Layout(
        "prompt, chosen, rejected: some text, some message lists",
        lambda fields: _pair_forms(fields) == {"text", "messages"},
        _mixed,
        covers=frozenset({"strings", "messages"}),
    ),
    "question": Layout(
        "question, chosen, rejected, and often system", has("question", "chosen", "rejected"), _question
    ),
    "stance": Layout(
        "prompt, support, oppose; support_ratio says which is preferred",
        has("prompt", "support", "oppose"),
        _stance,
    ),
}
