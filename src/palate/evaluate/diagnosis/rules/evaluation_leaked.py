"""evaluation_leaked: held-out data were trained on, or look as if they were."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Facts, figure
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import values_of

__all__ = ["RULE"]

_MIN_GAP = 0.08
_MIN_Z = 3.0
_LEAKS = {"leak_prompt": "prompts", "leak_completion": "completions"}


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if not metrics.eval and not facts.num_eval_pairs:
        return NotApplicable("nothing was held out")
    return _same_file(facts) or _seen_by_audit(facts) or _too_good(metrics, facts)


def _same_file(facts: Facts) -> list[Seen]:
    data = facts.lineage.get("data")
    data = data if isinstance(data, Mapping) else {}
    hashes = [of.get("sha256") for of in (data.get("train"), data.get("eval")) if isinstance(of, Mapping)]
    if len(hashes) != 2 or hashes[0] is None or hashes[0] != hashes[1]:
        return []
    return [
        Seen(
            sentence="data.eval and data.train are the same file",
            severity="error",
            sure="certain",
            evidence={"sha256": str(hashes[0])},
            recipe_key="data.eval",
        )
    ]


def _seen_by_audit(facts: Facts) -> list[Seen]:
    findings = facts.audit.get("findings")
    counts = {
        _LEAKS[str(found["check"])]: int(figure(found, "count") or 0)
        for found in (findings if isinstance(findings, list) else ())
        if isinstance(found, Mapping) and found.get("check") in _LEAKS
    }
    if not counts:
        return []
    said = " and ".join(f"{count:,} rows with {what}" for what, count in counts.items())
    return [
        Seen(
            sentence=f"the audit found {said} of the training data among those held out",
            severity="error" if "prompts" in counts else "warning",
            sure="certain",
            evidence={f"num_rows_with_shared_{what}": count for what, count in counts.items()},
            recipe_key="data.eval",
        )
    ]


def _too_good(metrics: Metrics, facts: Facts) -> list[Seen]:
    """Later epochs teach pairs by heart. If held-out ones come along, they are among them: fresh pairs, those
    of the first epoch just before they were learnt, show how well pairs are told apart that are not."""
    num = facts.num_eval_prompts
    if not facts.learns_from_pairs or facts.batch_size is None or not num:
        return []
    rows = [row for row in metrics.train if row.values.get("epoch", math.nan) <= 1 + 1e-9]
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
            sentence=f"at step {steps[-1]} {here:.1%} of held-out pairs are in the right order; of the pairs "
            f"of the first epoch, when they were new, {there:.1%} were: held-out pairs are learnt like those "
            "trained on",
            severity="warning",
            sure="hint",
            step=int(steps[-1]),
            evidence={"held_out_accuracy": here, "accuracy_on_new_pairs": there, "z": z},
            recipe_key="data.eval",
        )
    ]


RULE = Rule(
    name="evaluation_leaked",
    meaning="Held-out figures do not tell what the model does on data it has not seen, and the best step is "
    "chosen by heart.",
    remedy="Hold out whole prompts: palate data split, or drop data.eval and let data.eval_fraction do it.",
    reason="Read off the audit and the files' hashes; or the held-out accuracy after later epochs is 8 "
    "points and 3 standard errors above that of pairs when they were new.",
    check=_check,
)
