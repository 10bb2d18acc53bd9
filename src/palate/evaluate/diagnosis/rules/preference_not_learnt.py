"""preference_not_learnt: the model moves, and tells held-out pairs apart no better than a coin."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Accuracy, Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.rules.adapter_not_moving import change_of
from palate.evaluate.diagnosis.trends import later_part, mean_of, values_of

__all__ = ["RULE"]

_MIN_PROMPTS = 20
_MIN_STEPS = 20
_COIN = 0.6
_WIDEST = 0.2
"""A wider interval tells nothing at all, which is what evaluation_too_small says."""
_MOVED = 0.02
"""Nats a token; of a reward model, in the unit of its scores."""
_RISE = 0.1


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if not facts.learns_from_pairs:
        return NotApplicable("the objective counts no pairs in the right order")
    found = facts.accuracy_at_best()
    if found is None or found.num_prompts < _MIN_PROMPTS:
        return NotApplicable(f"it needs {_MIN_PROMPTS} held-out prompts")
    if len(metrics.train) < _MIN_STEPS:
        return NotApplicable(f"it needs {_MIN_STEPS} steps")
    moved = _moved(metrics, facts)
    if moved is None:
        return NotApplicable("it needs two evaluations, or a reference, to see how far the model has moved")
    low, high = found.interval_95
    if moved < _MOVED or low > 0.5 or (high >= _COIN and high - low > _WIDEST):
        return []
    return [] if _still_rising(metrics, facts) else [_seen(found, moved)]


def _moved(metrics: Metrics, facts: Facts) -> float | None:
    if facts.has_reference:
        kl = mean_of(later_part(series(metrics.train, "kl"), 0.25))
        return None if kl is None else math.sqrt(2 * max(0.0, kl.value))
    changes = [change for side in ("chosen", "rejected") if (change := change_of(metrics, side)) is not None]
    return max(changes, default=None)


def _still_rising(metrics: Metrics, facts: Facts) -> bool:
    """Without a reference accuracy begins where the base has it, which may be far below half."""
    _, accuracies = values_of(series(metrics.eval, "rewards_accuracy"))
    return not facts.has_reference and len(accuracies) > 0 and bool(np.ptp(accuracies) > _RISE)


def _seen(found: Accuracy, moved: float) -> Seen:
    low, high = found.interval_95
    against, coin = high < 0.5, high < _COIN
    return Seen(
        case="against_labels" if against else "coin" if coin else "not_shown",
        severity="error" if coin else "warning",
        sure="certain" if against else "likely",
        evidence={
            "num_pairs": found.num_pairs,
            "held_out_accuracy": found.value,
            "accuracy_low": low,
            "accuracy_high": high,
            "moved": moved,
        },
        recipe_key="data.train",
    )


RULE = Rule(
    name="preference_not_learnt",
    sentences={
        "coin": "{held_out_accuracy:.1%} of {num_pairs:,} held-out pairs are in the right order (95% "
        "interval {accuracy_low:.1%} to {accuracy_high:.1%}), though the model has moved: no better than a "
        "coin tells them.",
        "against_labels": "{held_out_accuracy:.1%} of {num_pairs:,} held-out pairs are in the right order "
        "(95% interval {accuracy_low:.1%} to {accuracy_high:.1%}): against their labels, more often than a "
        "coin.",
        "not_shown": "{held_out_accuracy:.1%} of {num_pairs:,} held-out pairs are in the right order (95% "
        "interval {accuracy_low:.1%} to {accuracy_high:.1%}), though the model has moved: a coin may do as "
        "well.",
    },
    meaning="What the labels say cannot be told from the text, or held-out labels say something else than "
    "those trained on: sides mixed up, labels drawn by chance, or a wrong column taken for the preference.",
    remedy="Read twenty pairs (palate data inspect): is the chosen side the better one? Look at "
    "data.train.columns, and at the judge card or the annotators' agreement.",
    reason="The interval of the held-out accuracy reaches 50% or lies below it, on 20 prompts or more, after "
    "the model has moved by 0.02 nats a token, or a reward model's scores by as much: an error where it ends "
    "under 60%, a warning where it is no wider than 20 points. Without a reference the accuracy has to stay "
    "within 10 points, too.",
    check=_check,
    live=False,
)
