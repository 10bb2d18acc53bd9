"""preference_not_learnt: the model moves, and tells held-out pairs apart no better than a coin."""

from __future__ import annotations

import math
from collections.abc import Sequence

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Accuracy, Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import later_part, mean_of, values_of

__all__ = ["RULE"]

_MIN_PROMPTS = 20
_MIN_STEPS = 20
_COIN = 0.6
_WIDEST = 0.2
"""A wider interval tells nothing at all, which is what evaluation_too_small says."""
_MOVED_NATS_PER_TOKEN = 0.02


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if not facts.learns_from_pairs or not facts.has_reference:
        return NotApplicable("it needs pairs and a reference, which says how far the model has moved")
    found = facts.accuracy_at_best()
    if found is None or found.num_prompts < _MIN_PROMPTS:
        return NotApplicable(f"it needs {_MIN_PROMPTS} held-out prompts")
    steps, _ = values_of(series(metrics.train, "kl"))
    kl = mean_of(later_part(series(metrics.train, "kl"), 0.25))
    if len(steps) < _MIN_STEPS or kl is None:
        return NotApplicable(f"it needs {_MIN_STEPS} steps")
    away = math.sqrt(2 * max(0.0, kl.value))
    low, high = found.interval_95
    if away < _MOVED_NATS_PER_TOKEN or low > 0.5 or (high >= _COIN and high - low > _WIDEST):
        return []
    return [_seen(found, away)]


def _seen(found: Accuracy, away: float) -> Seen:
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
            "rms_log_ratio_per_token": away,
        },
        recipe_key="data.train",
    )


RULE = Rule(
    name="preference_not_learnt",
    sentences={
        "coin": "The model has moved by {rms_log_ratio_per_token:.2g} nats a token, and "
        "{held_out_accuracy:.1%} of {num_pairs:,} held-out pairs are in the right order (95% interval "
        "{accuracy_low:.1%} to {accuracy_high:.1%}): no better than a coin tells them.",
        "against_labels": "The model has moved by {rms_log_ratio_per_token:.2g} nats a token, and "
        "{held_out_accuracy:.1%} of {num_pairs:,} held-out pairs are in the right order (95% interval "
        "{accuracy_low:.1%} to {accuracy_high:.1%}): against their labels, more often than a coin.",
        "not_shown": "The model has moved by {rms_log_ratio_per_token:.2g} nats a token, and "
        "{held_out_accuracy:.1%} of {num_pairs:,} held-out pairs are in the right order (95% interval "
        "{accuracy_low:.1%} to {accuracy_high:.1%}): a coin may do as well.",
    },
    meaning="What the labels say cannot be told from the text, or held-out labels say something else than "
    "those trained on: sides mixed up, labels drawn by chance, or a wrong column taken for the preference.",
    remedy="Read twenty pairs (palate data inspect): is the chosen side the better one? Look at "
    "data.train.columns, and at the judge card or the annotators' agreement.",
    reason="The interval of the held-out accuracy reaches 50% or lies below it, on 20 prompts or more, after "
    "the model has moved by 0.02 nats a token: an error where it ends under 60%, a warning where it is no "
    "wider than 20 points.",
    check=_check,
    live=False,
)
