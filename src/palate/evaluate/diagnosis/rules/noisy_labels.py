"""noisy_labels: the accuracy stands still well below 1, and the model is sure of what it gets wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Accuracy, Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import later_part, trend_of

__all__ = ["RULE"]

_MIN_PROMPTS = 40
_HIGHEST = 0.75
_MIN_SURE_WRONG = 0.75
_MAX_Z = 2.0
_NEAR = 0.1


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if not facts.learns_from_pairs:
        return NotApplicable("the objective counts no pairs in the right order")
    found = facts.accuracy_at_best()
    if found is None:
        return NotApplicable("no held-out margins were written")
    if found.num_prompts < _MIN_PROMPTS:
        return NotApplicable(f"it needs {_MIN_PROMPTS} held-out prompts, and there are {found.num_prompts}")
    plateau = trend_of(later_part(series(metrics.train, "rewards_accuracy"), 0.5))
    low, high = found.interval_95
    if plateau is None or plateau.z > _MAX_Z or low <= 0.5 or high >= _HIGHEST:
        return []
    margins = np.array(facts.margins)
    right, wrong = margins[margins > 0], -margins[margins < 0]
    if not len(wrong):
        return []
    as_sure = float(np.median(wrong) / np.median(right))
    if as_sure < _MIN_SURE_WRONG:
        return []  # what is wrong is nearly a tie: the pairs are hard, or too little was learnt
    return [_seen(found, facts, as_sure)]


def _seen(found: Accuracy, facts: Facts, as_sure: float) -> Seen:
    key, value = _advice(found, facts)
    return Seen(
        severity="info" if value is None else "warning",
        sure="hint",
        step=None,
        evidence={
            "num_pairs": found.num_pairs,
            "held_out_accuracy": found.value,
            "accuracy_low": found.interval_95[0],
            "accuracy_high": found.interval_95[1],
            "implied_flip_rate": 1 - found.value,
            "wrong_to_right_margin": as_sure,
        },
        recipe_key=key,
        recipe_value=value,
    )


def _advice(found: Accuracy, facts: Facts) -> tuple[str, float | str | None]:
    """The option to change; no value where the objective reckons with such labels already."""
    least = round(min(1 - found.interval_95[1], 0.45), 2)
    smoothing = getattr(facts.objective, "label_smoothing", None)
    if facts.objective is not None and facts.objective.type == "ipo":
        return "data.train", None
    if smoothing is None:
        return "objective.type", "ipo"
    return ("objective.label_smoothing", least) if smoothing < least - _NEAR else ("data.train", None)


RULE = Rule(
    name="noisy_labels",
    sentences={
        "": "{held_out_accuracy:.1%} of {num_pairs:,} held-out pairs are in the order of their labels (95% "
        "interval {accuracy_low:.1%} to {accuracy_high:.1%}), the accuracy no longer grows, and margins on "
        "the others are {wrong_to_right_margin:.2f} times as large: as if {implied_flip_rate:.0%} of "
        "labels were the wrong way round.",
    },
    meaning="Many labels contradict what the rest teach: annotators or a judge disagree, or sides were mixed "
    "up. Two tastes in one file look alike.",
    remedy="Set objective.label_smoothing to the least share that is likely, or take objective.type ipo; "
    "look at the held-out pairs the model is surest are wrong, and at the judge card or the annotators' "
    "agreement.",
    reason="The interval of the held-out accuracy lies between 50% and 75%, training accuracy has no upward "
    "slope over the last half, and margins on pairs against the model are 0.75 of the others or more: hard "
    "pairs would lie near 0.",
    check=_check,
    live=False,
    explained_by=("wrong_reference", "learning_rate_high", "kl_runaway"),
)
