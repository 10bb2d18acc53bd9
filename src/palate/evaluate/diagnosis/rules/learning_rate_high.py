"""learning_rate_high: the training loss goes above where it began."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import running_median, values_of

__all__ = ["RULE"]

_MIN_STEPS = 15
_NUM_FIRST = 3
"""Steps that count as the beginning: a step or two into the warm-up nothing has changed."""
_WIDTH = 7
_TIMES = 1.5


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if facts.recipe is None or facts.objective is None:
        return NotApplicable("the run folder has no recipe.yaml")
    steps, losses = values_of(series(metrics.train, "loss"))
    if len(steps) < _MIN_STEPS or steps[0] > 1:
        return NotApplicable(f"it needs {_MIN_STEPS} steps, from the first on")
    first = losses[:_NUM_FIRST]
    start = float(first.mean())
    middle = running_median(losses, _WIDTH)[_NUM_FIRST:]
    worst = int(np.argmax(middle))
    # Losses that may be negative have no "half as much again".
    limit = start + max((_TIMES - 1) * abs(start), 5 * float(first.std(ddof=1)))
    if middle[worst] <= limit:
        return []
    step, rate = int(steps[_NUM_FIRST + worst]), facts.recipe.train.learning_rate
    end = float(np.median(losses[-_WIDTH:]))
    return [
        Seen(
            sentence=f"the training loss began at {start:.3g} and rose: its running median is "
            f"{middle[worst]:.3g} at step {step}, and {end:.3g} at the end",
            severity="error" if end > limit else "warning",
            sure="likely",
            step=step,
            evidence={
                "loss_at_start": start,
                "worst_median_loss": float(middle[worst]),
                "loss_at_end": end,
                "learning_rate": rate,
            },
            recipe_key="train.learning_rate",
            recipe_value=float(f"{rate / 10:.2g}"),
        )
    ]


RULE = Rule(
    name="learning_rate_high",
    meaning="Steps are so large that they overshoot: the model was better on its training data before.",
    remedy="Lower train.learning_rate tenfold; raise train.warmup_fraction where it rose at the beginning.",
    reason="The running median of 7 steps has to be half as much again as the first three steps, and 5 of "
    "their standard deviations above: batches alone never lift a median of 7 so far.",
    check=_check,
)
