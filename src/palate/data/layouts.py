"""Every layout preference rows come in, and how a row of each becomes a prompt with its judged completions.

To add one: write a function from `Row` to `Sides`, `Single` or `Ordered` that raises `Unusable` with a
reason, give it an entry in `LAYOUTS` with a function that claims rows by what is in them, and add its name
to `palate.recipe.schema.Layout`. What is asked of every record, whatever its layout, stands in `reading.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from palate.data.conversations import after_prompt, common_turns
from palate.data.kinds import Kind
from palate.data.messages import (
    Unusable,
    completion_field,
    is_message_list,
    is_transcript,
    messages_field,
    prompt_field,
    text_field,
    turns,
)
from palate.data.rankings import best_first, completions_field, is_completion_list
from palate.data.scalars import label_field
from palate.records import Message, Messages

__all__ = ["LAYOUTS", "Converted", "Layout", "Ordered", "Row", "Sides", "Single"]


@dataclass(frozen=True, slots=True)
class Row:
    """A row and its place among the rows read, for layouts in which that has a meaning."""

    fields: Mapping[str, Any]
    position: int = 0
    num_rows: int = 1
    support_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Sides:
    """A pair as its row says it, before it is checked. `detail` goes into the record's provenance."""

    prompt: Messages
    chosen: Messages
    rejected: Messages
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Single:
    """A labelled completion as its row says it, before it is checked."""

    prompt: Messages
    completion: Messages
    desirable: bool
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ordered:
    """A ranking as its row says it, best first and all different, before it is checked."""

    prompt: Messages
    completions: tuple[Messages, ...]
    detail: Mapping[str, Any] = field(default_factory=dict)


Converted = Sides | Single | Ordered


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to write a preference into a row."""

    columns: str
    """What a person should find in the file."""
    claims: Callable[[Mapping[str, Any]], bool]
    """Whether a row is of this layout as far as can be seen without reading it closely."""
    convert: Callable[[Row], Converted]
    kind: Kind = "pairs"
    """What a row of this layout becomes."""
    covers: frozenset[str] = frozenset()
    """Layouts whose rows this one can read too: where they stand beside each other, it takes them all."""


def _strings(row: Row) -> Sides:
    return Sides(
        (Message("user", text_field(row.fields, "prompt")),),
        (Message("assistant", text_field(row.fields, "chosen")),),
        (Message("assistant", text_field(row.fields, "rejected")),),
    )


def _messages(row: Row) -> Sides:
    prompt, chosen, rejected = (messages_field(row.fields, name) for name in ("prompt", "chosen", "rejected"))
    prompt, (chosen, rejected) = after_prompt(prompt, {"chosen": chosen, "rejected": rejected})
    return Sides(prompt, chosen, rejected)


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
    asked, (better, worse) = after_prompt(prompt_field(row.fields, prompt), sides)
    return Sides(asked, better, worse)


def _labels(row: Row) -> Single:
    completion = {"completion": completion_field(row.fields, "completion")}
    prompt, (answer,) = after_prompt(prompt_field(row.fields, "prompt"), completion)
    return Single(prompt, answer, label_field(row.fields, "label"))


def _ranking(row: Row) -> Ordered:
    prompt, completions = after_prompt(prompt_field(row.fields, "prompt"), completions_field(row.fields))
    ordered, detail = best_first(row.fields, completions)
    return Ordered(prompt, ordered, detail)


def _transcript(row: Row) -> Sides:
    dialogues = (turns(_whole_dialogue(row.fields, side), side) for side in ("chosen", "rejected"))
    return Sides(*common_turns(*dialogues))


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


def _has(*columns: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda fields: all(column in fields for column in columns)


def _pair_forms(fields: Mapping[str, Any]) -> set[str]:
    """Which of `text` and `messages` stand in prompt, chosen and rejected; empty where none of this fits."""
    values = [fields.get(column) for column in ("prompt", "chosen", "rejected")]
    if is_transcript(values[0]) or is_transcript(values[1]):
        return set()
    if any(is_message_list(value) for value in values):
        known = all(is_message_list(value) or isinstance(value, str) for value in values)
        return {"messages" if is_message_list(value) else "text" for value in values} if known else set()
    return {"text"} if all(isinstance(value, str) for value in values) else set()


def _claims_transcript(fields: Mapping[str, Any]) -> bool:
    return _has("chosen", "rejected")(fields) and (
        is_transcript(fields["chosen"]) or (is_transcript(fields.get("prompt")))
    )


def _claims_labels(fields: Mapping[str, Any]) -> bool:
    # A transcript taken for what one user says would teach the model to answer itself.
    return _has("prompt", "completion", "label")(fields) and not is_transcript(fields["prompt"])


def _claims_ranking(fields: Mapping[str, Any]) -> bool:
    return (
        _has("prompt", "completions")(fields)
        and is_completion_list(fields["completions"])
        and not is_transcript(fields["prompt"])
    )


LAYOUTS: dict[str, Layout] = {
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
    "transcript": Layout(
        r"chosen, rejected: whole dialogues with \n\nHuman: and \n\nAssistant: turns",
        _claims_transcript,
        _transcript,
    ),
    "question": Layout(
        "question, chosen, rejected, and often system", _has("question", "chosen", "rejected"), _question
    ),
    "stance": Layout(
        "prompt, support, oppose; support_ratio says which is preferred",
        _has("prompt", "support", "oppose"),
        _stance,
    ),
    "labels": Layout(
        "prompt, completion, each text or a message list (no transcripts); label: true or false",
        _claims_labels,
        _labels,
        kind="labels",
    ),
    "ranking": Layout(
        "prompt; completions: a list of texts or of message lists (no transcripts), best first, or with as "
        "many ranks (1 best) or scores (higher is better)",
        _claims_ranking,
        _ranking,
        kind="rankings",
    ),
}
"""Every layout by the name recipes use."""
