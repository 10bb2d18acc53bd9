"""both_rewards_falling: chosen answers become less likely too."""

from __future__ import annotations

from collections.abc import Sequence

from palate.evaluate.diagnosis.curves import Metrics, Series, series
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import later_part, mean_of, trend_of, values_of

__all__ = ["RULE"]

_MIN_STEPS = 20
_MIN_FALL_NATS = 3.0
_MIN_FALL_PER_TOKEN = 0.1
_MIN_SHARE_OF_MARGIN = 0.5
_MIN_Z = 3.0


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if not facts.has_reference or not facts.learns_from_pairs:
        return NotApplicable("it needs pairs and a reference: rewards of both sides against where they began")
    chosen, rejected = (series(metrics.train, f"rewards_{side}") for side in ("chosen", "rejected"))
    steps, _ = values_of(chosen)
    if len(steps) < _MIN_STEPS:
        return NotApplicable(f"it needs {_MIN_STEPS} steps with rewards")
    ends = [mean_of(later_part(side, 0.25)) for side in (chosen, rejected)]
    trends = [trend_of(side) for side in (chosen, rejected)]
    margin = mean_of(later_part(_margin(metrics), 0.25))
    if ends[0] is None or ends[1] is None or trends[0] is None or trends[1] is None or margin is None:
        return []
    scale = facts.reward_scale
    fall, other = -ends[0].value / scale, -ends[1].value / scale
    error = ends[0].standard_error / scale
    length = mean_of(later_part(series(metrics.train, "chosen_length"), 0.25))
    least = max(_MIN_FALL_NATS, _MIN_FALL_PER_TOKEN * length.value if length is not None else 0.0)
    falling = max(trends[0].z, trends[1].z) < -_MIN_Z
    apart = margin.value - 2 * margin.standard_error > 0  # or both fall alike: nothing takes sides
    if not (falling and apart) or fall - 2 * error < least or fall < _MIN_SHARE_OF_MARGIN * (other - fall):
        return []
    return [
        Seen(
            severity="warning",
            sure="certain",
            step=int(steps[-1]),
            evidence={
                "last_step": int(steps[-1]),
                "chosen_fall_nats": fall,
                "rejected_fall_nats": other,
                "chosen_slope_z": trends[0].z,
                "rejected_slope_z": trends[1].z,
            },
            recipe_key="objective.type",
            recipe_value="rpo" if facts.objective is not None and facts.objective.type == "dpo" else None,
        )
    ]


def _margin(metrics: Metrics) -> Series:
    """Chosen minus rejected, batch by batch: what both have in common does not blur it."""
    rows = [row for row in metrics.train if {"rewards_chosen", "rewards_rejected"} <= row.values.keys()]
    differences = (row.values["rewards_chosen"] - row.values["rewards_rejected"] for row in rows)
    return Series(tuple(row.step for row in rows), tuple(differences))


RULE = Rule(
    name="both_rewards_falling",
    sentences={
        "": "Over the last quarter of {last_step} steps chosen completions are {chosen_fall_nats:.3g} nats "
        "less likely than before training, and rejected ones {rejected_fall_nats:.3g}.",
    },
    meaning="Likelihood displacement: the margin grows because both sides fall and the rejected one faster. "
    "What the model says instead is in neither side of the data.",
    remedy="Hold the chosen side up: objective.type rpo, dpop, or mpo with sft; or lower train.learning_rate "
    "or raise objective.beta. Read the answers: palate compare.",
    reason="Chosen completions have to be 3 nats and 0.1 nats a token less likely with 95% confidence, by "
    "half of the margin or more, both slopes 3 standard errors below 0, and the margin 2 above 0. A little "
    "of it is in every DPO run.",
    check=_check,
)
