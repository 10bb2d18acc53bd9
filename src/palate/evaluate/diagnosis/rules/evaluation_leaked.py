"""evaluation_leaked: held-out data were trained on, or look as if they were."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Facts, figure
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import trend_of, values_of

__all__ = ["RULE"]

_MIN_GAP = 0.08
_MIN_Z = 3.0
_LEFT_OUT = "not held out: its prompt is trained on"
"""As training says it in data.json."""


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if not metrics.eval and not facts.num_eval_pairs:
        return NotApplicable("nothing was held out")
    return [*_shared_prompts(facts), *_too_good(metrics, facts)]


def _shared_prompts(facts: Facts) -> list[Seen]:
    """Held-out rows whose very prompt is trained on are left out of every evaluation; those whose prompt is
    written a little differently are measured on, and only the audit knows them."""
    num_left_out, num_shared = _num_left_out(facts), _num_shared(facts)
    seen = []
    if num_shared > num_left_out:
        seen.append(
            Seen(
                case="measured_on",
                severity="error",
                sure="certain",
                evidence={
                    "num_rows_measured_on": num_shared - num_left_out,
                    "num_rows_shared": num_shared,
                    "num_rows_left_out": num_left_out,
                },
                recipe_key="data.eval",
            )
        )
    if num_left_out:
        seen.append(
            Seen(
                case="left_out",
                severity="warning",
                sure="certain",
                evidence={"num_rows_left_out": num_left_out, "num_eval_pairs": facts.num_eval_pairs or 0},
                recipe_key="data.eval",
            )
        )
    return seen


def _num_left_out(facts: Facts) -> int:
    of_eval = facts.data.get("eval")
    reasons = of_eval.get("set_aside") if isinstance(of_eval, Mapping) else None
    return sum(
        int(figure(reason, "count") or 0)
        for reason in (reasons if isinstance(reasons, list) else ())
        if isinstance(reason, Mapping) and reason.get("reason") == _LEFT_OUT
    )


def _num_shared(facts: Facts) -> int:
    findings = facts.audit.get("findings")
    return sum(
        int(figure(found, "count") or 0)
        for found in (findings if isinstance(findings, list) else ())
        if isinstance(found, Mapping) and found.get("check") == "leak_prompt"
    )


def _too_good(metrics: Metrics, facts: Facts) -> list[Seen]:
    """Later epochs teach pairs by heart. If held-out ones come along, they are among them: fresh pairs, those
    of the first epoch just before they were learnt, show how well pairs are told apart that are not. Unless
    the model was still learning then: their margin grew, and it may simply have become better since."""
    num = facts.num_witnesses()
    if not facts.learns_from_pairs or facts.batch_size is None or not num:
        return []
    rows = [row for row in metrics.train if row.values.get("epoch", math.nan) <= 1 + 1e-9]
    growth = trend_of(series(rows, "rewards_margin"))
    if growth is not None and growth.z >= _MIN_Z:
        return []
    fresh = [row.values.get("rewards_accuracy", math.nan) for row in rows[len(rows) // 2 :]]
    fresh = [value for value in fresh if math.isfinite(value)]
    steps, held_out = values_of(series(metrics.eval, "rewards_accuracy"))
    if len(fresh) < 4 or not len(steps) or len(rows) == len(metrics.train):
        return []
    there, here, num_fresh = float(np.mean(fresh)), float(held_out[-1]), len(fresh) * facts.batch_size
    pooled = (there * num_fresh + here * num) / (num_fresh + num)
    z = (here - there) / math.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / num_fresh + 1 / num))
    if here - there < _MIN_GAP or z < _MIN_Z:
        return []
    return [
        Seen(
            case="learnt_by_heart",
            severity="warning",
            sure="hint",
            step=int(steps[-1]),
            evidence={
                "last_step": int(steps[-1]),
                "held_out_accuracy": here,
                "accuracy_on_new_pairs": there,
                "z": z,
            },
            recipe_key="data.eval",
        )
    ]


RULE = Rule(
    name="evaluation_leaked",
    sentences={
        "measured_on": "{num_rows_measured_on:,} held-out rows have a prompt that is trained on, in other "
        "case, spaces or punctuation.",
        "left_out": "{num_rows_left_out:,} held-out rows have a prompt that is trained on, and were left "
        "out: the held-out figures rest on the other {num_eval_pairs:,}.",
        "learnt_by_heart": "At step {last_step} {held_out_accuracy:.1%} of held-out pairs are in the right "
        "order; of the pairs of the first epoch, when they were new, {accuracy_on_new_pairs:.1%} were: "
        "held-out pairs are learnt like those trained on.",
    },
    meaning="Held-out figures do not tell what the model does on data it has not seen, and the best step is "
    "chosen by heart.",
    remedy="Hold out whole prompts: palate data split, or drop data.eval and let data.eval_fraction do it.",
    reason="Read off the audit and the account of the data; or the held-out accuracy after later epochs is 8 "
    "points and 3 standard errors above that of pairs when they were new, whose margin did not grow.",
    check=_check,
)
