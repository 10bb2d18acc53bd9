"""wrong_reference: policy and reference differ before the first step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from palate.evaluate.diagnosis.curves import Metrics
from palate.evaluate.diagnosis.facts import Facts, figure
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.recipe import Objective

__all__ = ["RULE"]

_TOLERANCE = {"float32": 1e-3}
_TOLERANCE_HALF = 0.03
"""Nats a token. What rounding leaves is 1e-6 in float32 and up to 1e-2 in 16 bits; a model that was tuned, or
another one, is 0.1 and more away."""

_LN_2 = math.log(2)
_STARTS: dict[str, Callable[[Objective], float]] = {
    "dpo": lambda options: _LN_2,
    "ipo": lambda options: 1 / (4 * getattr(options, "beta", 0.1) ** 2),
    "hinge": lambda options: 1.0,
    "apo_zero": lambda options: 1.0,
    "discopop": lambda options: _LN_2,
    "plackett_luce": lambda options: _LN_2,
}
"""Where a loss starts if all rewards are 0, without target margins and weights of the data's own. Objectives
with a likelihood term start wherever the data put them; a ranking of more than two starts above ln 2."""


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if facts.recipe is None or facts.objective is None:
        return NotApplicable("the run folder has no recipe.yaml")
    if not facts.has_reference:
        return NotApplicable(f"{facts.objective.type} has no reference")
    if (why := _why_they_may_differ(facts)) is not None:
        return NotApplicable(why)
    first = next((row for row in metrics.train if row.step == 1), None)
    if first is None:
        return NotApplicable("metrics.jsonl has no line of step 1")
    kl = first.values.get("kl", math.nan)
    if not kl >= 0:
        return NotApplicable("step 1 has no figure for the distance to the reference")
    away = math.sqrt(2 * kl)
    dtype = str(facts.lineage.get("base", {}).get("dtype", ""))
    if away <= _TOLERANCE.get(dtype, _TOLERANCE_HALF):
        return []
    return [_seen(facts, facts.objective, first.values, away)]


def _why_they_may_differ(facts: Facts) -> str | None:
    adapter = facts.recipe.model.adapter if facts.recipe is not None else None
    if adapter is None or adapter.type != "existing":
        return None  # a fresh adapter adds nothing yet, dropped out or not; the base has no dropout
    dropout = figure(facts.adapter, "lora_dropout")
    if dropout == 0:
        return None
    return "the adapter it starts from has dropout, or it is not known yet whether it has"


def _seen(facts: Facts, options: Objective, row: Mapping[str, float], away: float) -> Seen:
    named = facts.recipe.reference.model if facts.recipe is not None else None
    start = _STARTS[options.type](options) if options.type in _STARTS else None
    loss = row.get("loss", math.nan)
    tells_loss = start is not None and options.data == "pairs"
    case = ("named" if named is not None else "unnamed") + ("_with_loss" if tells_loss else "")
    return Seen(
        case=case,
        severity="warning" if named is not None else "error",
        sure="certain",
        step=1,
        evidence={
            "rms_log_ratio_per_token": away,
            "reward_chosen": row.get("rewards_chosen"),
            "reward_rejected": row.get("rewards_rejected"),
            "objective": options.type,
            "loss": loss,
            "expected_loss": start,
        },
        recipe_key="reference.model",
        recipe_value=None,
    )


RULE = Rule(
    name="wrong_reference",
    sentences={
        "unnamed": "At step 1, before anything was learnt, the model is {rms_log_ratio_per_token:.3g} nats "
        "a token from its reference.",
        "unnamed_with_loss": "At step 1, before anything was learnt, the model is "
        "{rms_log_ratio_per_token:.3g} nats a token from its reference, and the loss is {loss:.4g} where "
        "{objective} starts at {expected_loss:.4g}.",
        "named": "At step 1, before anything was learnt, the model is {rms_log_ratio_per_token:.3g} nats a "
        "token from its reference; the recipe names another model as reference.",
        "named_with_loss": "At step 1, before anything was learnt, the model is "
        "{rms_log_ratio_per_token:.3g} nats a token from its reference, and the loss is {loss:.4g} where "
        "{objective} starts at {expected_loss:.4g}; the recipe names another model as reference.",
    },
    meaning="Rewards are measured against a reference that is not the model as it started: what they show is "
    "in part the distance between two models, and the pull back goes to the wrong place.",
    remedy="Drop reference.model, or name the model that training starts from. Where the recipe names none, "
    "policy and reference were computed differently: train anew, and report it.",
    reason="The same weights give the same log-probabilities: 1e-6 nats a token apart in float32 and up to "
    "1e-2 in 16 bits. The limits are 0.001 and 0.03.",
    check=_check,
)
