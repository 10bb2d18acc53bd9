"""Rows with one completion and its label, or with several and their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palate.data.conversations import after_prompt
from palate.data.layouts.form import Layout, Ordered, Row, Single, has
from palate.data.messages import (
    Unusable,
    completion_field,
    is_transcript,
    list_field,
    prompt_field,
    text_field,
    turns,
    turns_field,
)
from palate.data.rankings import best_first, completions_field, is_completion_list, standing_of
from palate.data.scalars import finite, label_field, number_of
from palate.data.structured import describe
from palate.records import Message, Messages

__all__ = ["JUDGED_LAYOUTS"]


def _labels(row: Row) -> Single:
    completion = {"completion": completion_field(row.fields, "completion")}
    prompt, (answer,) = after_prompt(prompt_field(row.fields, "prompt"), completion)
    return Single(prompt, answer, label_field(row.fields, "label"))


def _ranking(row: Row) -> Ordered:
    prompt, completions = after_prompt(prompt_field(row.fields, "prompt"), completions_field(row.fields))
    order = best_first(completions, standing_of(row.fields, len(completions)))
    return Ordered(prompt, order.completions, order.detail, order.scores)


def _ultrafeedback(row: Row) -> Ordered:
    items = _objects(row.fields, "completions")
    answers = {f"completion {i}": turns_field({f"completion {i}": item.get("response")}, f"completion {i}")
               for i, item in enumerate(items, 1)}  # fmt: skip
    prompt = (Message("user", text_field(row.fields, "instruction")),)
    return _of_models(prompt, answers, _ultrafeedback_scores(items), items)


def _nectar(row: Row) -> Ordered:
    items = _objects(row.fields, "answers")
    answers = {f"answer {i}": turns_field({f"answer {i}": item.get("answer")}, f"answer {i}")
               for i, item in enumerate(items, 1)}  # fmt: skip
    scores = [-number_of(item.get("rank"), "rank") for item in items]
    return _of_models(_open_transcript(row.fields), answers, scores, items)


def _of_models(
    prompt: Messages,
    answers: Mapping[str, Messages],
    scores: Sequence[float],
    items: Sequence[Mapping[str, Any]],
) -> Ordered:
    asked, completions = after_prompt(prompt, answers)
    order = best_first(completions, scores)
    models = [items[place].get("model") for place in order.places]
    known = {"models": models} if all(isinstance(model, str) for model in models) else {}
    return Ordered(asked, order.completions, {**order.detail, **known}, order.scores)


def _objects(fields: Mapping[str, Any], column: str) -> list[Mapping[str, Any]]:
    items = list_field(fields, column)
    if len(items) < 2:
        raise Unusable(f'"{column}" holds fewer than two completions, there is nothing to rank')
    for item in items:
        if not isinstance(item, Mapping):
            raise Unusable(f'"{column}" holds {describe(item)} where an object was expected')
    return list(items)


def _ultrafeedback_scores(items: Sequence[Mapping[str, Any]]) -> list[float]:
    """`overall_score`, or `fine-grained_score`, or the mean rating: the first that all completions have."""
    for scores in (
        [finite(item.get("overall_score")) for item in items],
        [finite(item.get("fine-grained_score")) for item in items],
        [_mean_rating(item.get("annotations")) for item in items],
    ):
        given = [score for score in scores if score is not None]
        if len(given) == len(items):
            return given
    raise Unusable("some completion has no score")


def _mean_rating(annotations: object) -> float | None:
    """The mean of the `Rating`s that are numbers; some files have "N/A" for an aspect nobody rated."""
    if not isinstance(annotations, Mapping):
        return None
    ratings = [finite(a.get("Rating")) for a in annotations.values() if isinstance(a, Mapping)]
    numbers = [rating for rating in ratings if rating is not None]
    return sum(numbers) / len(numbers) if numbers else None


def _open_transcript(fields: Mapping[str, Any]) -> Messages:
    """A prompt in turns that ends with an assistant turn nobody has written yet; or text of one user."""
    text = text_field(fields, "prompt")
    if not is_transcript(text):
        return (Message("user", text),)
    said = turns(text, "prompt")
    return said[:-1] if said[-1].role == "assistant" and not said[-1].content else said


def _claims_labels(fields: Mapping[str, Any]) -> bool:
    # A transcript taken for what one user says would teach the model to answer itself.
    return has("prompt", "completion", "label")(fields) and not is_transcript(fields["prompt"])


def _claims_ranking(fields: Mapping[str, Any]) -> bool:
    return (
        has("prompt", "completions")(fields)
        and is_completion_list(fields["completions"])
        and not is_transcript(fields["prompt"])
    )


def _has_objects(fields: Mapping[str, Any], column: str, *keys: str) -> bool:
    """Whether a column looks like a list of objects with these keys, written out or in a cell."""
    value = fields.get(column)
    if isinstance(value, str):
        return value.lstrip().startswith("[") and all(f'"{k}"' in value or f"'{k}'" in value for k in keys)
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(item, Mapping) and all(key in item for key in keys) for item in value)
    )


JUDGED_LAYOUTS: dict[str, Layout] = {
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
    "ultrafeedback": Layout(
        "instruction; completions: objects with response, and overall_score, fine-grained_score or "
        "annotations with a Rating each",
        lambda fields: "instruction" in fields and _has_objects(fields, "completions", "response"),
        _ultrafeedback,
        kind="rankings",
    ),
    "nectar": Layout(
        "prompt, which may be a transcript; answers: objects with answer and rank (1 best)",
        lambda fields: "prompt" in fields and _has_objects(fields, "answers", "answer", "rank"),
        _nectar,
        kind="rankings",
    ),
}
