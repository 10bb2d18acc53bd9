"""validation_worse_than_train: held-out pairs are told apart less often than those trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import later_part, mean_of, values_of

__all__ = ["RULE"]

_MIN_STEPS = 8
_MIN_GAP = 0.1
_MIN_Z = 3.0


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if not facts.learns_from_pairs or facts.batch_size is None:
        return NotApplicable("the objective counts no pairs in the right order")
    steps, held_out = values_of(series(metrics.eval, "rewards_accuracy"))
    num = facts.num_witnesses()
    if not len(steps) or not num:
        return NotApplicable("nothing was held out")
    trained = later_part(series(metrics.train, "rewards_accuracy"), 0.25)
    mean = mean_of(trained)
    if mean is None or mean.num < _MIN_STEPS / 4:
        return NotApplicable(f"it needs {_MIN_STEPS} steps")
    there, here = mean.value, float(held_out[-1])
    num_trained = mean.num * facts.batch_size
    pooled = (there * num_trained + here * num) / (num_trained + num)
    error = math.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / num_trained + 1 / num))
    if there - here < _MIN_GAP or there - here < _MIN_Z * error:
        return []
    epoch = metrics.train[-1].values.get("epoch", math.nan)
    return [_seen(there, here, int(steps[-1]), epoch, (there - here) / error)]


def _seen(there: float, here: float, step: int, epoch: float, z: float) -> Seen:
    by_heart = epoch > 1
    return Seen(
        case="by_heart" if by_heart else "one_epoch",
        severity="warning",
        sure="likely",
        step=step,
        evidence={
            "last_step": step,
            "train_accuracy": there,
            "held_out_accuracy": here,
            "z": z,
            "epochs": epoch,
        },
        recipe_key="train.epochs" if by_heart else "data.eval",
        recipe_value=1 if by_heart else None,
    )


RULE = Rule(
    name="validation_worse_than_train",
    sentences={
        "by_heart": "At step {last_step} {held_out_accuracy:.1%} of held-out pairs are in the right order, "
        "and {train_accuracy:.1%} of those trained on, learnt by heart in several epochs.",
        "one_epoch": "At step {last_step} {held_out_accuracy:.1%} of held-out pairs are in the right "
        "order, and {train_accuracy:.1%} of those trained on, none of them twice.",
    },
    meaning="What was learnt does not carry over. After several epochs the pairs were learnt by heart; "
    "within the first one held-out data of another kind is the likelier cause.",
    remedy="Train for fewer epochs (train.epochs), on more data, or with a smaller model.adapter.rank; look "
    "at whether data.eval is of the same kind as data.train.",
    reason="10 points apart, and 3 standard errors of two shares; held-out pairs count for as many as their "
    "prompts let them.",
    check=_check,
)
