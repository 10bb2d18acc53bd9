"""Rows in the manner of Alpaca: an instruction, often with an input, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from palate.data.conversations import after_prompt
from palate.data.layouts.dialogues import refuse_tools
from palate.data.layouts.form import Layout, Row, Sides, Single, has
from palate.data.messages import Unusable, list_field, messages_field, text_field, turns_field
from palate.data.scalars import label_field, stated_gap
from palate.data.structured import describe
from palate.records import Message, Messages

__all__ = ["INSTRUCTION_LAYOUTS"]


def _instruction(row: Row) -> Sides:
    fields, names = row.fields, ("chosen", "rejected")
    if "chosen" not in fields and "rejected" not in fields:
        fields, names = _two_outputs(fields), ("output 1", "output 2")
    sides = {name: turns_field(fields, name) for name in names}
    prompt, (chosen, rejected) = after_prompt(_instruction_prompt(fields), sides)
    return Sides(prompt, chosen, rejected, gap=stated_gap(fields))


def _two_outputs(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The older form: `output` holds the better and the worse answer."""
    outputs = list_field(fields, "output")
    if len(outputs) != 2:
        raise Unusable(f'"output" holds {len(outputs)} answers, the better and the worse were expected')
    return {**fields, "output 1": outputs[0], "output 2": outputs[1]}


def _instruction_prompt(fields: Mapping[str, Any]) -> Messages:
    asked = text_field(fields, "instruction")
    if fields.get("input"):
        asked = f"{asked}\n\n{text_field(fields, 'input')}" if str(fields["input"]).strip() else asked
    return (*_history(fields), Message("user", asked))


def _history(fields: Mapping[str, Any]) -> Messages:
    """Earlier rounds: a list of what was asked and what was answered."""
    if not fields.get("history"):
        return ()
    said: list[Message] = []
    for number, item in enumerate(list_field(fields, "history"), 1):
        if not isinstance(item, list | tuple) or len(item) != 2:
            raise Unusable(f'"history" holds {describe(item)} where a question and its answer were expected')
        named = {f"history {number}, question": item[0], f"history {number}, answer": item[1]}
        question, answer = (text_field(named, name) for name in named)
        said += [Message("user", question), Message("assistant", answer)]
    return tuple(said)


def _kto_tag(row: Row) -> Single:
    fields = row.fields
    desirable = label_field(fields, "kto_tag" if "kto_tag" in fields else "label")
    refuse_tools(fields, "tools")
    column = next((name for name in ("conversations", "messages") if fields.get(name) is not None), None)
    if column is None:
        prompt, (answer,) = after_prompt(
            _instruction_prompt(fields), {"output": turns_field(fields, "output")}
        )
        return Single(prompt, answer, desirable)
    dialogue = messages_field(fields, column)
    if dialogue[-1].role != "assistant":
        raise Unusable(f'"{column}" ends with a {dialogue[-1].role} turn, there is no answer to learn from')
    return Single(dialogue[:-1], dialogue[-1:], desirable)


def _claims_instruction(fields: Mapping[str, Any]) -> bool:
    if "instruction" not in fields:
        return False
    if "chosen" in fields and "rejected" in fields:
        return True
    output = fields.get("output")
    return isinstance(output, list | tuple) and len(output) == 2


def _claims_kto_tag(fields: Mapping[str, Any]) -> bool:
    is_dialogue = "conversations" in fields or "messages" in fields
    if "kto_tag" in fields:
        return is_dialogue or has("instruction", "output")(fields)
    # Rows of many sorts have a label; here it says yes or no, and nothing else is judged beside the dialogue.
    judged = any(column in fields for column in ("completion", "chosen", "rejected"))
    return is_dialogue and isinstance(fields.get("label"), bool) and not judged


INSTRUCTION_LAYOUTS: dict[str, Layout] = {
    "instruction": Layout(
        "instruction, chosen, rejected (or output: the better, the worse), and often input, history, system",
        _claims_instruction,
        _instruction,
    ),
    "kto_tag": Layout(
        "kto_tag (or label): true or false; conversations or messages: a dialogue, its last turn judged; or "
        "kto_tag beside instruction, input, output",
        _claims_kto_tag,
        _kto_tag,
        kind="labels",
    ),
}
