"""adapter_not_moving: training runs, and the model stays what it was."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from palate.evaluate.diagnosis.curves import Metrics, Series, series
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import later_part, values_of
from palate.recipe import TrainOptions

__all__ = ["MIN_STEPS", "RULE", "STILL_NATS_PER_TOKEN", "change_of"]

MIN_STEPS = 10
STILL_NATS_PER_TOKEN = 1e-3
"""The root mean square change of a token's log-probability: one in a thousand changes no answer."""

_NO_GRADIENT = 1e-10
_WELL_MOVED, _MOST_TIMES = 0.05, 100.0


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if facts.recipe is None:
        return NotApplicable("the run folder has no recipe.yaml")
    num_warmup = _num_warmup(facts, metrics)
    if len(metrics.train) < num_warmup + MIN_STEPS:
        return NotApplicable(f"it needs {num_warmup + MIN_STEPS} steps, warm-up included")
    moved = _moved(metrics, facts)
    if isinstance(moved, NotApplicable):
        return moved
    if moved >= STILL_NATS_PER_TOKEN:
        return []
    return [_seen(metrics, facts, moved)]


def _num_warmup(facts: Facts, metrics: Metrics) -> int:
    """Steps of warm-up, as far as the steps done let it be known."""
    _, rates = values_of(series(metrics.train, "learning_rate"))
    if facts.recipe is None or not len(rates) or not facts.recipe.train.warmup_fraction:
        return 0
    return int(np.argmax(rates))


def _moved(metrics: Metrics, facts: Facts) -> float | NotApplicable:
    """Nats a token (a score's units for a reward model) by which the model has moved, at the end."""
    if facts.has_reference:
        _, kl = values_of(later_part(series(metrics.train, "kl"), 0.25))
        if not len(kl):
            return NotApplicable("metrics.jsonl has no figures for the distance to the reference")
        return math.sqrt(2 * max(0.0, float(np.median(kl))))
    first_to_last = [change_of(metrics, side) for side in ("chosen", "rejected")]
    known = [change for change in first_to_last if change is not None]
    if not known:
        return NotApplicable("without a reference it needs two evaluations on held-out pairs")
    return max(known)


def change_of(metrics: Metrics, side: str) -> float | None:
    """How far a side's log-probability, or score, on held-out pairs has gone, the same pairs each time."""
    found: Series = series(metrics.eval, f"logps_{side}_per_token") or series(metrics.eval, f"rewards_{side}")
    _, values = values_of(found)
    return float(np.ptp(values)) if len(values) > 1 else None


def _seen(metrics: Metrics, facts: Facts, moved: float) -> Seen:
    assert facts.recipe is not None
    last = metrics.train[-1].step
    _, norms = values_of(series(metrics.train, "grad_norm"))
    norm = float(np.median(norms)) if len(norms) else math.nan
    rate = facts.recipe.train.learning_rate
    starved = norm <= _NO_GRADIENT
    default = TrainOptions.model_fields["learning_rate"].default
    # Small steps move in proportion: as far as needed, and no more than a hundredfold on one look.
    wanted = rate * min(_MOST_TIMES, _WELL_MOVED / max(moved, 1e-12))
    return Seen(
        severity="error",
        sure="certain",
        step=last,
        evidence={
            "last_step": last,
            "moved_nats_per_token": moved,
            "median_grad_norm": norm,
            "learning_rate": rate,
        },
        recipe_key="model.adapter.target_modules" if starved else "train.learning_rate",
        recipe_value=None if starved else float(f"{max(default, wanted):.2g}"),
    )


RULE = Rule(
    name="adapter_not_moving",
    sentences={
        "": "After {last_step} steps the model has moved by {moved_nats_per_token:.1e} nats a token: the "
        "median gradient norm is {median_grad_norm:.1e}, and the learning rate at most {learning_rate:g}.",
    },
    meaning="The weights that are trained do not change what the model says: the result is the base model.",
    remedy="Raise train.learning_rate; where the gradient norm is 0, train other modules: "
    "model.adapter.target_modules.",
    reason="Under 0.001 nats a token, root mean square, no answer changes; a run that learns passes that in "
    "its first steps.",
    check=_check,
)
