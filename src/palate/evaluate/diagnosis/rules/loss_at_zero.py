"""loss_at_zero: there is nothing left to learn, and training goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import running_median, values_of

__all__ = ["RULE"]

_MIN_STEPS = 10
_MIN_SHARE = 0.25
_WIDTH = 5
_AT_ZERO = 0.01 * math.log(2)
_STARTING_NEAR_ONE = ("dpo", "hinge", "simpo", "reward", "plackett_luce")
"""Objectives whose loss starts near ln 2 or 1 and ends at 0: for others 0 is no end, or nothing special."""


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    objective = facts.objective
    if objective is None or objective.type not in _STARTING_NEAR_ONE:
        return NotApplicable("the loss of this objective does not end at 0")
    if getattr(objective, "label_smoothing", 0):
        return NotApplicable("with label_smoothing the loss does not end at 0")
    steps, losses = values_of(series(metrics.train, "loss"))
    if len(steps) < _MIN_STEPS:
        return NotApplicable(f"it needs {_MIN_STEPS} steps")
    above = np.flatnonzero(running_median(losses, _WIDTH) > _AT_ZERO)
    begin = int(above[-1]) + 1 if len(above) else 0
    num_idle = len(steps) - begin
    if num_idle < max(_MIN_STEPS / 2, _MIN_SHARE * len(steps)):
        return []
    first, median = int(steps[begin]), float(np.median(losses[begin:]))
    return [
        Seen(
            severity="info",
            sure="certain",
            step=first,
            evidence={
                "first_step": first,
                "num_idle_steps": num_idle,
                "num_steps": len(steps),
                "median_loss": median,
            },
            recipe_key="train.max_steps",
        )
    ]


RULE = Rule(
    name="loss_at_zero",
    sentences={
        "": "From step {first_step} on the training loss is at zero (its median is {median_loss:.1e}): the "
        "last {num_idle_steps} of {num_steps} steps had next to nothing left to lower.",
    },
    meaning="All pairs are won by a wide margin: what these can still teach is to be surer of them. The "
    "model moves on, and the loss no longer tells whether its answers improve.",
    remedy="Make closer pairs; or where answers of a shorter run are as good (palate compare), take that: "
    "train.max_steps, which shortens the learning rate's schedule too, or train.early_stopping.",
    reason="Under a hundredth of ln 2, where DPO starts, as a running median of 5 steps, for the last "
    "quarter of the run.",
    check=_check,
)
