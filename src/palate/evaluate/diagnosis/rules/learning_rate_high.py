"""learning_rate_high: the training loss goes above where it began."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import running_median, values_of

__all__ = ["RULE"]

_MIN_STEPS = 15
_NUM_FIRST = 5
"""Steps that count as the beginning where batches differ from the first on."""
_MIN_BATCH = 4
_WIDTH = 7
_TIMES = 1.5


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if facts.recipe is None or facts.objective is None:
        return NotApplicable("the run folder has no recipe.yaml")
    if not facts.has_reference and facts.recipe.train.batch_size < _MIN_BATCH:
        return NotApplicable(
            f"without a reference, losses of fewer than {_MIN_BATCH} examples scatter too much"
        )
    steps, losses = values_of(series(metrics.train, "loss"))
    if len(steps) < _MIN_STEPS or steps[0] > 1:
        return NotApplicable(f"it needs {_MIN_STEPS} steps, from the first on")
    start, limit = _start_and_limit(losses, facts)
    middle = running_median(losses, _WIDTH)
    worst = int(np.argmax(middle))
    if middle[worst] <= limit:
        return []
    step, rate = int(steps[worst]), facts.recipe.train.learning_rate
    end = float(np.median(losses[-_WIDTH:]))
    return [
        Seen(
            severity="error" if end > limit else "warning",
            sure="likely",
            step=step,
            evidence={
                "loss_at_start": start,
                "worst_step": step,
                "worst_median_loss": float(middle[worst]),
                "loss_at_end": end,
                "learning_rate": rate,
            },
            recipe_key="train.learning_rate",
            recipe_value=float(f"{rate / 10:.2g}"),
        )
    ]


def _start_and_limit(losses: NDArray[np.float64], facts: Facts) -> tuple[float, float]:
    """Where the loss began, and what it should not rise above.

    Against a reference every example begins at the same loss, and step 1 tells it: a rate that is far too
    high has spoilt step 2. Without one batches differ, so it takes the median of a few, and their scatter.
    """
    if facts.has_reference:
        start, scatter = float(losses[0]), 0.0
    else:
        first = losses[:_NUM_FIRST]
        start = float(np.median(first))
        scatter = 1.4826 * float(np.median(np.abs(first - start)))
    # Losses that may be negative have no "half as much again".
    return start, start + max((_TIMES - 1) * abs(start), 5 * scatter)


RULE = Rule(
    name="learning_rate_high",
    sentences={
        "": "The training loss began at {loss_at_start:.3g} and rose: its running median is "
        "{worst_median_loss:.3g} at step {worst_step}, and {loss_at_end:.3g} at the end.",
    },
    meaning="Steps are so large that they overshoot: the model was better on its training data before.",
    remedy="Lower train.learning_rate tenfold; raise train.warmup_fraction where it rose at the beginning.",
    reason="The running median of 7 steps has to be half as much again as step 1 (without a reference: as "
    "the median of the first 5, and 5 standard deviations above): batches alone never lift a "
    "median of 7 so far.",
    check=_check,
)
