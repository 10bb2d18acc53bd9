"""accuracy_one_early: every pair is told apart almost at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Facts, figure
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import values_of
from palate.statistics.win_rates import wilson_interval

__all__ = ["RULE"]

_EARLY_SHARE = 0.5
_MIN_LOWER_END = 0.95


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if not facts.learns_from_pairs or facts.batch_size is None:
        return NotApplicable("the objective counts no pairs in the right order")
    # What a second epoch gets right may have been learnt by heart: easy is what is right when it is new.
    new = [row for row in metrics.train if not row.values.get("epoch", 0.0) > 1 + 1e-9]
    steps, accuracies = values_of(series(new, "rewards_accuracy"))
    num_needed = int(np.ceil(80 / facts.batch_size))
    if len(steps) < num_needed:
        return NotApplicable(f"it needs {num_needed} steps of the first epoch, which are 80 pairs")
    wrong = np.flatnonzero(accuracies < 1)
    begin = int(wrong[-1]) + 1 if len(wrong) else 0
    num_since = (len(steps) - begin) * facts.batch_size
    num_pairs = figure(facts.data, "train", "num_pairs")
    if num_pairs is not None:  # the last batch of an epoch may be smaller than the others
        num_since = min(num_since, max(0, int(num_pairs) - begin * facts.batch_size))
    lower = wilson_interval(num_since, 0)[0]
    if lower < _MIN_LOWER_END or begin > _EARLY_SHARE * len(steps):
        return []
    first = int(steps[begin])
    return [
        Seen(
            severity="info",
            sure="certain",
            step=first,
            evidence={"first_step": first, "num_pairs_since": num_since, "accuracy_at_least": lower},
            recipe_key="train.max_steps",
        )
    ]


RULE = Rule(
    name="accuracy_one_early",
    sentences={
        "": "From step {first_step} on every one of {num_pairs_since:,} training pairs that the model had "
        "not met before has the higher reward on its chosen side.",
    },
    meaning="The pairs are easy: one mark, such as an opening or the length, may tell their sides apart, and "
    "the model needs to learn no more than that mark.",
    remedy="See whether the mark is what you want (palate data audit names the words that give sides away); "
    "make closer pairs, or stop early: train.max_steps.",
    reason="From some step in the first half of the first epoch on not one pair is wrong, and there are 80 "
    "of them or more: then the accuracy is above 95% with 95% confidence.",
    check=_check,
)
