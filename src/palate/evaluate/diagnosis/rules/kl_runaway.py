"""kl_runaway: the model leaves its reference, and goes on leaving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen, Severity
from palate.evaluate.diagnosis.trends import later_part, mean_of, trend_of, values_of

__all__ = ["RULE"]

_MIN_STEPS = 20
_FAR_NATS_PER_TOKEN = 3.0
"""Root mean square over the data's tokens: the usual token is twenty times likelier or less likely."""
_GONE_NATS_PER_TOKEN = 5.0
"""A hundred and fifty times: whether it still goes further no longer matters."""
_MIN_Z = 3.0
_MIN_SCATTERS = 3.0


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if facts.recipe is None:
        return NotApplicable("the run folder has no recipe.yaml")
    found = series(metrics.train, "kl" if facts.has_reference else "logps_chosen_per_token")
    steps, values = values_of(found)
    if len(steps) < _MIN_STEPS or (not facts.has_reference and steps[0] > 1):
        return NotApplicable(f"it needs {_MIN_STEPS} steps with a distance to the reference, or likelihoods")
    if not facts.has_reference:
        return _less_likely(facts, steps, values)
    end, trend = mean_of(later_part(found, 0.25)), trend_of(later_part(found, 0.75))
    if end is None or trend is None:
        return []
    away = math.sqrt(2 * max(0.0, end.value))
    growing = trend.z >= _MIN_Z
    if away < _FAR_NATS_PER_TOKEN or not (growing or away >= _GONE_NATS_PER_TOKEN):
        return []
    thrown = math.sqrt(2 * max(0.0, float(np.median(values[: len(values) // 4])))) >= _FAR_NATS_PER_TOKEN
    return [_seen(facts, int(steps[-1]), away, None if thrown or not growing else trend.z)]


def _seen(facts: Facts, last: int, away: float, z: float | None) -> Seen:
    """`z` of the slope where it drifts away: the pull back is too weak then. What was gone at once was thrown
    by its steps."""
    beta = getattr(facts.objective, "beta", None)
    evidence = {"last_step": last, "rms_log_ratio_per_token": away}
    severity: Severity = "error" if away >= _GONE_NATS_PER_TOKEN else "warning"
    if z is None:
        return Seen(
            case="far", severity=severity, sure="likely", step=last, evidence=evidence, **_slower(facts)
        )
    return Seen(
        case="growing",
        severity=severity,
        sure="likely",
        step=last,
        evidence={**evidence, "slope_z": z, "beta": beta},
        recipe_key="objective.beta" if beta is not None else "train.learning_rate",
        recipe_value=float(f"{3 * beta:.2g}") if beta is not None else None,
    )


def _less_likely(facts: Facts, steps: NDArray[np.int64], values: NDArray[np.float64]) -> list[Seen]:
    """Without a reference: by how much chosen completions are less likely than those of step 1, when the
    model was what it started as. Batches differ, so it has to be far beside what they differ by, too."""
    late = values[-(len(values) // 4) :]
    end, fall = float(late.mean()), float(values[0] - late.mean())
    # Neighbouring steps differ by what their batches do; a median, for a model that is thrown about jumps.
    scatter = 1.4826 * float(np.median(np.abs(np.diff(values)))) / math.sqrt(2)
    if values[0] - late.max() < _FAR_NATS_PER_TOKEN or fall < _MIN_SCATTERS * scatter:
        return []
    last = int(steps[-1])
    return [
        Seen(
            case="less_likely",
            severity="error" if fall >= _GONE_NATS_PER_TOKEN else "warning",
            sure="likely",
            step=last,
            evidence={
                "last_step": last,
                "logp_per_token_at_start": float(values[0]),
                "logp_per_token_at_end": end,
                "fall_per_token": fall,
            },
            **_slower(facts),
        )
    ]


def _slower(facts: Facts) -> dict[str, Any]:
    assert facts.recipe is not None
    rate = facts.recipe.train.learning_rate
    return {"recipe_key": "train.learning_rate", "recipe_value": float(f"{rate / 10:.2g}")}


RULE = Rule(
    name="kl_runaway",
    sentences={
        "growing": "Over the last quarter of {last_step} steps tokens are {rms_log_ratio_per_token:.2g} "
        "nats from the reference, root mean square, and the distance still grows (its slope is "
        "{slope_z:.0f} standard errors from 0).",
        "far": "Over the last quarter of {last_step} steps tokens are {rms_log_ratio_per_token:.2g} nats "
        "from the reference, root mean square.",
        "less_likely": "Over the last quarter of {last_step} steps chosen completions have "
        "{logp_per_token_at_end:.3g} nats a token, {fall_per_token:.3g} less than at step 1.",
    },
    meaning="The model is no longer near the one it started from: what that one could do beside the "
    "preference may be lost, and answers may fall apart.",
    remedy="Raise objective.beta where the distance still grows; lower train.learning_rate where it was "
    "there early. Or stop earlier, and compare answers, not rewards.",
    reason="3 nats a token, root mean square over the completions of the data, is twenty times likelier or "
    "less likely for the usual token; the slope has to be 3 standard errors above 0. From 5 nats on it is "
    "an error, growing or not. Without a reference chosen completions of the last quarter of the steps have "
    "to be 3 nats a token less likely than those of step 1, all of them, and 3 times what batches differ by.",
    check=_check,
)
