"""Rows with two answers and a column that says which of them is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from palate.data.conversations import after_prompt
from palate.data.layouts.form import Layout, Row, Sides, has, scalars
from palate.data.messages import (
    Unusable,
    completion_field,
    list_field,
    object_in,
    prompt_field,
    text_field,
    turns_field,
    value_of,
)
from palate.data.scalars import finite, number_of
from palate.data.structured import describe
from palate.records import Message, Messages

__all__ = ["CHOICE_LAYOUTS"]

MAX_HELPSTEER_PREFERENCE = 3


def _pair(
    row: Row, prompt: Messages, better: str, worse: str, detail: Mapping[str, Any], gap: float | None = None
) -> Sides:
    sides = {name: completion_field(row.fields, name) for name in (better, worse)}
    asked, (chosen, rejected) = after_prompt(prompt, sides)
    return Sides(asked, chosen, rejected, detail, gap)


def _which(fields: Mapping[str, Any], column: str) -> int:
    """0 or 1, as a number, as text, or as a truth value."""
    value = value_of(fields, column)
    number = float(value) if isinstance(value, bool) else number_of(value, column)
    if number not in (0, 1):
        raise Unusable(f'"{column}" is neither 0 nor 1, so neither side is better')
    return int(number)


def _stackexchange(row: Row) -> Sides:
    return _pair(row, prompt_field(row.fields, "question"), "response_j", "response_k", {})


def _shp(row: Row) -> Sides:
    better, worse = ("A", "B") if _which(row.fields, "labels") == 1 else ("B", "A")
    high, low = (finite(row.fields.get(f"score_{side}")) for side in (better, worse))
    return _pair(
        row,
        prompt_field(row.fields, "history"),
        f"human_ref_{better}",
        f"human_ref_{worse}",
        {},
        None if high is None or low is None else high - low,
    )


def _webgpt(row: Row) -> Sides:
    question = value_of(row.fields, "question")
    written = object_in(question)
    asked = written["full_text"] if isinstance(written, Mapping) and "full_text" in written else question
    scores = [number_of(value_of(row.fields, name), name) for name in ("score_0", "score_1")]
    if scores[0] == scores[1]:
        raise Unusable("both answers have the same score: neither is better")
    better = 0 if scores[0] > scores[1] else 1
    prompt = prompt_field({"question": asked}, "question")
    gap = scores[better] - scores[1 - better]
    return _pair(row, prompt, f"answer_{better}", f"answer_{1 - better}", {"preferred": better}, gap)


_SAFERLHF_DETAIL = ("safer_response_id", "is_response_0_safe", "is_response_1_safe")


def _saferlhf(row: Row) -> Sides:
    better = _which(row.fields, "better_response_id")
    detail = scalars({name: row.fields.get(name) for name in _SAFERLHF_DETAIL})
    prompt = prompt_field(row.fields, "prompt")
    return _pair(row, prompt, f"response_{better}", f"response_{1 - better}", {"preferred": better, **detail})


def _helpsteer3(row: Row) -> Sides:
    column = "overall_preference"
    preference = number_of(value_of(row.fields, column), column)
    if preference == 0:
        raise Unusable(f'"{column}" is 0: neither response is better')
    if abs(preference) > MAX_HELPSTEER_PREFERENCE:
        raise Unusable(f'"{column}" is beyond -3 to 3')
    better, worse = (1, 2) if preference < 0 else (2, 1)
    prompt = prompt_field(row.fields, "context")
    return _pair(row, prompt, f"response{better}", f"response{worse}", {"preferred": better}, abs(preference))


def _summaries(row: Row) -> Sides:
    choice = _which(row.fields, "choice")
    summaries = list_field(row.fields, "summaries")
    if len(summaries) != 2:
        raise Unusable(f'"summaries" holds {len(summaries)} of them, two were expected')
    named: dict[str, Messages] = {}
    for number in (choice, 1 - choice):
        item, name = summaries[number], f"summary {number + 1}"
        if not isinstance(item, Mapping):
            raise Unusable(f'"summaries" holds {describe(item)} where an object with text was expected')
        named[name] = turns_field({name: item.get("text")}, name)
    prompt, (chosen, rejected) = after_prompt(_post(row.fields), named)
    better, worse = (summaries[number].get("policy") for number in (choice, 1 - choice))
    return Sides(prompt, chosen, rejected, scalars({"chosen_policy": better, "rejected_policy": worse}))


def _post(fields: Mapping[str, Any]) -> Messages:
    """What is to be summed up: a post with its title and subreddit, or an article."""
    info = object_in(value_of(fields, "info"))
    if not isinstance(info, Mapping):
        raise Unusable(f'"info" is {describe(info)}, an object was expected')
    named = {f"info.{key}": value for key, value in info.items() if value is not None}
    text = "post" if "info.post" in named else "article"
    parts = [
        f"{label}: {prefix}{text_field(named, column)}"
        for label, prefix, column in (
            ("SUBREDDIT", "r/", "info.subreddit"),
            ("TITLE", "", "info.title"),
            (text.upper(), "", f"info.{text}"),
        )
        if column in named or column == f"info.{text}"
    ]
    return (Message("user", "\n\n".join([*parts, "TL;DR:"])),)


CHOICE_LAYOUTS: dict[str, Layout] = {
    "stackexchange": Layout(
        "question, response_j (the better), response_k",
        has("question", "response_j", "response_k"),
        _stackexchange,
    ),
    "shp": Layout(
        "history, human_ref_A, human_ref_B; labels: 1 where A is better, else 0; often score_A, score_B",
        has("history", "human_ref_A", "human_ref_B", "labels"),
        _shp,
    ),
    "saferlhf": Layout(
        "prompt, response_0, response_1; better_response_id: 0 or 1",
        has("prompt", "response_0", "response_1", "better_response_id"),
        _saferlhf,
    ),
    "helpsteer3": Layout(
        "context, response1, response2; overall_preference: -3 (1 is much better) to 3 (2 is much better)",
        has("context", "response1", "response2", "overall_preference"),
        _helpsteer3,
    ),
    "webgpt": Layout(
        "question: text or an object with full_text; answer_0, answer_1; score_0, score_1: higher is better",
        has("question", "answer_0", "answer_1", "score_0", "score_1"),
        _webgpt,
    ),
    "summaries": Layout(
        "info: an object with post or article; summaries: two objects with text; choice: 0 or 1",
        has("info", "summaries", "choice"),
        _summaries,
    ),
}
