"""learning_rate_low: it learns, steadily, and has hardly begun at the end."""

from __future__ import annotations

from collections.abc import Sequence

from palate.evaluate.diagnosis.curves import Metrics, Series, series
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.rules.adapter_not_moving import STILL_NATS_PER_TOKEN
from palate.evaluate.diagnosis.trends import later_part, mean_of, trend_of, values_of

__all__ = ["RULE"]

_MIN_STEPS = 20
_MIN_Z = 3.0
_HARDLY_BEGUN = 0.1
"""A margin of 0.1 is a preference of 52.5% in the Bradley-Terry model that rewards stand for."""
_ONE_NAT = 1.0
"""Where beta is small a small margin may be a long way: 1 nat makes a side e times likelier."""
_LARGEST_FACTOR = 10.0


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if not facts.has_reference or facts.recipe is None or facts.objective is None:
        return NotApplicable("without a reference nothing says from where the rewards have come")
    if not facts.objective.needs_rejected and facts.objective.data != "labels":
        return NotApplicable(f"{facts.objective.type} has no margin")
    margins = series(metrics.train, "rewards_margin")
    steps, _ = values_of(margins)
    if len(steps) < _MIN_STEPS:
        return NotApplicable(f"it needs {_MIN_STEPS} steps with a margin")
    trend, end = trend_of(margins), mean_of(later_part(margins, 0.25))
    kl = mean_of(later_part(series(metrics.train, "kl"), 0.25))
    if trend is None or end is None or kl is None or (2 * kl.value) ** 0.5 < STILL_NATS_PER_TOKEN:
        return []  # what does not move at all is another rule's
    largest = end.value + 2 * end.standard_error
    if trend.z < _MIN_Z or largest > min(_HARDLY_BEGUN, _ONE_NAT * facts.reward_scale):
        return []
    return [_seen(facts, margins, end.value, trend.z)]


def _seen(facts: Facts, margins: Series, end: float, z: float) -> Seen:
    assert facts.recipe is not None
    rate = facts.recipe.train.learning_rate
    factor = min(_LARGEST_FACTOR, max(2.0, 0.5 / max(end, 1e-9)))
    return Seen(
        severity="warning",
        sure="likely",
        step=margins.steps[-1],
        evidence={
            "last_step": margins.steps[-1],
            "margin_at_end": end,
            "slope_z": z,
            "learning_rate": rate,
        },
        recipe_key="train.learning_rate",
        recipe_value=float(f"{factor * rate:.2g}"),
    )


RULE = Rule(
    name="learning_rate_low",
    sentences={
        "": "The reward margin grows steadily (the slope is {slope_z:.0f} standard errors from 0), and "
        "stands at {margin_at_end:.2g} over the last quarter of {last_step} steps.",
    },
    meaning="The model learns the preference, and the run ends before it shows in answers.",
    remedy="Raise train.learning_rate, or train for longer (train.epochs).",
    reason="A margin of 0.1 is a preference of 52.5%, and of the log-ratios it is under 1 nat; the slope has "
    "to be 3 standard errors from 0, so that a run which learns nothing is not told to learn nothing faster.",
    check=_check,
    live=False,
    explained_by=("preference_not_learnt",),
)
