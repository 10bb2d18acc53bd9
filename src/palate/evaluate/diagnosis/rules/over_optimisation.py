"""over_optimisation: the margin still grows while the held-out loss rises."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from palate.evaluate.diagnosis.curves import Metrics, Series, series
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import values_of

__all__ = ["RULE"]

_MIN_EVALUATIONS = 3
_MIN_AFTER = 2
_MIN_RISE = 0.05
_MIN_Z = 2.0


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if facts.recipe is None:
        return NotApplicable("the run folder has no recipe.yaml")
    steps, losses = values_of(series(metrics.eval, "loss"))
    if len(steps) < _MIN_EVALUATIONS:
        return NotApplicable(
            f"it needs {_MIN_EVALUATIONS} evaluations on held-out data: train.evaluate_every"
        )
    best = int(np.argmin(losses))
    rise = float(losses[-1] - losses[best])
    error = _error_of_eval_loss(metrics, facts)
    if len(steps) - 1 - best < _MIN_AFTER or rise < _MIN_RISE * abs(float(losses[best])):
        return []
    if error is None or rise < _MIN_Z * error or not _still_learning(metrics, int(steps[best])):
        return []
    best_step, last = int(steps[best]), int(steps[-1])
    return [
        Seen(
            severity="warning",
            sure="likely",
            step=best_step,
            evidence={
                "best_step": best_step,
                "last_step": last,
                "loss_at_best": float(losses[best]),
                "loss_at_end": float(losses[-1]),
                "standard_error": error,
            },
            recipe_key="train.max_steps",
            recipe_value=best_step,
        )
    ]


def _error_of_eval_loss(metrics: Metrics, facts: Facts) -> float | None:
    """Of two held-out losses' difference, by how training losses vary: on the safe side, for both are of
    the same pairs. None where nobody knows how many pairs there are."""
    num_pairs = facts.num_witnesses() or facts.num_eval_pairs
    _, losses = values_of(series(metrics.train, "loss"))
    if not num_pairs or facts.batch_size is None or len(losses) < 4:
        return None
    # Neighbouring steps differ by what their batches differ by, whatever the trend.
    of_a_batch = float(np.std(np.diff(losses), ddof=1)) / math.sqrt(2)
    return of_a_batch * math.sqrt(facts.batch_size) * math.sqrt(2 / num_pairs)


def _still_learning(metrics: Metrics, best_step: int) -> bool:
    """Whether the training loss, or the margin, has gone on improving since."""
    rising = _medians_around(series(metrics.train, "rewards_margin"), best_step)
    falling = _medians_around(series(metrics.train, "loss"), best_step)
    return (rising is not None and rising[1] > rising[0]) or (falling is not None and falling[1] < falling[0])


def _medians_around(found: Series, step: int) -> tuple[float, float] | None:
    """Its median over the later half of the steps up to `step`, and of those after it."""
    steps, values = values_of(found)
    before, after = values[steps <= step], values[steps > step]
    if len(before) < 2 or len(after) < 2:
        return None
    return float(np.median(before[len(before) // 2 :])), float(np.median(after[-max(1, len(after) // 2) :]))


RULE = Rule(
    name="over_optimisation",
    sentences={
        "": "The held-out loss was lowest at step {best_step} ({loss_at_best:.3g}) and is "
        "{loss_at_end:.3g} at step {last_step}, while on the training data the model still improves.",
    },
    meaning="From the best step on the model learns its training pairs by heart, and becomes worse on "
    "others. The run keeps the weights of the best step, so what was trained after it is lost time.",
    remedy="Stop there: train.max_steps, fewer train.epochs or train.early_stopping; more data moves the "
    "best step out.",
    reason="The held-out loss has to be 5% above its lowest, two evaluations or more later, by 2 standard "
    "errors of a difference between independent samples of as many pairs.",
    check=_check,
)
