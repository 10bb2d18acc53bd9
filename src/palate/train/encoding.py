"""From the records a recipe names to the examples it trains on and those it holds out."""

from __future__ import annotations

from collections import Counter

from palate.data import PairRule, RecordSet, records_as, split_by_prompt
from palate.engine import Renderer
from palate.errors import DataError, RecipeError
from palate.recipe import Recipe
from palate.train.examples import ExampleSet, encode_records, with_mismatched

__all__ = ["encode_data"]


def encode_data(
    recipe: Recipe, train_records: RecordSet, eval_records: RecordSet | None, renderer: Renderer
) -> tuple[ExampleSet, ExampleSet]:
    """The examples to train on and the held-out ones, which may be none.

    Raises:
        RecipeError: the objective learns from something else. DataError: nothing is left to train or to
        evaluate on, a record is too long where that is an error, or a KL estimate has but one prompt.
    """
    if eval_records is None:
        to_train, to_eval = split_by_prompt(train_records.records, recipe.data.eval_fraction)
    else:
        to_train, to_eval = train_records.records, eval_records.records
    kind = recipe.objective.data
    if kind == "groups":
        raise RecipeError(f"objective {recipe.objective.type} learns from its own samples, not from records")
    train_set, eval_set = (
        encode_records(
            records_as(records, kind, where=source.source, rule=PairRule.of(options)), renderer, recipe.data
        )
        for records, source, options in (
            (to_train, train_records, recipe.data.train),
            (to_eval, eval_records or train_records, recipe.data.eval or recipe.data.train),
        )
    )
    _refuse_none_left(train_records, train_set, "train")
    if eval_records is not None:
        trained_on = {example.prompt_id for example in train_set.examples}
        eval_set.set_aside_prompts(trained_on, "not held out: its prompt is trained on")
        _refuse_none_left(eval_records, eval_set, "evaluate")
    if recipe.objective.needs_kl:
        for found in (train_set, eval_set):
            if found.examples:
                found.examples = with_mismatched(found.examples, renderer, recipe.data, train_records.source)
    return train_set, eval_set


def _refuse_none_left(records: RecordSet, encoded: ExampleSet, use: str) -> None:
    if encoded.examples:
        return
    reasons = Counter(aside.reason for aside in (*records.set_aside, *encoded.set_aside))
    raise DataError(
        f"nothing is left to {use} on",
        where=records.source,
        why="; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3)),
        next="palate data inspect shows the rows; data.max_length bounds how long one may be",
    )
