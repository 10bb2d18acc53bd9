"""kl_runaway: the model leaves its reference, and goes on leaving."""

from __future__ import annotations

import math
from collections.abc import Sequence

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import later_part, mean_of, trend_of, values_of

__all__ = ["RULE"]

_MIN_STEPS = 20
_FAR_NATS_PER_TOKEN = 3.0
"""Root mean square over the data's tokens: the usual token is twenty times likelier or less likely."""
_MIN_Z = 3.0


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if not facts.has_reference or facts.recipe is None:
        return NotApplicable("the objective has no reference to leave")
    found = series(metrics.train, "kl")
    steps, _ = values_of(found)
    if len(steps) < _MIN_STEPS:
        return NotApplicable(f"it needs {_MIN_STEPS} steps with a distance to the reference")
    end, trend = mean_of(later_part(found, 0.25)), trend_of(later_part(found, 0.75))
    if end is None or trend is None:
        return []
    away = math.sqrt(2 * max(0.0, end.value))
    if away < _FAR_NATS_PER_TOKEN or trend.z < _MIN_Z:
        return []
    return [_seen(facts, int(steps[-1]), away, trend.z)]


def _seen(facts: Facts, last: int, away: float, z: float) -> Seen:
    beta = getattr(facts.objective, "beta", None)
    return Seen(
        severity="warning",
        sure="likely",
        step=last,
        evidence={"last_step": last, "rms_log_ratio_per_token": away, "slope_z": z, "beta": beta},
        recipe_key="objective.beta" if beta is not None else "train.learning_rate",
        recipe_value=float(f"{3 * beta:.2g}") if beta is not None else None,
    )


RULE = Rule(
    name="kl_runaway",
    sentences={
        "": "Over the last quarter of {last_step} steps tokens are {rms_log_ratio_per_token:.2g} nats from "
        "the reference, root mean square, and the distance still grows (its slope is {slope_z:.0f} "
        "standard errors from 0).",
    },
    meaning="The model is no longer near the one it started from: what that one could do beside the "
    "preference may be lost, and answers may fall apart.",
    remedy="Raise objective.beta, lower train.learning_rate, or stop earlier; compare answers, not rewards.",
    reason="3 nats a token, root mean square over the completions of the data, is twenty times likelier or "
    "less likely for the usual token; the slope has to be 3 standard errors above 0.",
    check=_check,
)
