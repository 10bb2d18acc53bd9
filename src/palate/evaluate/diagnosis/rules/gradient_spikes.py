"""gradient_spikes: single steps whose gradient dwarfs those around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palate.evaluate.diagnosis.curves import Metrics, series
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen
from palate.evaluate.diagnosis.trends import running_median, values_of

__all__ = ["RULE"]

_MIN_STEPS = 20
_WIDTH = 21
_TIMES = 8.0
_NUM_FIRST = 5
_TIMES_FIRST = 2.0
_MAX_NAMED = 5


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if facts.recipe is None:
        return NotApplicable("the run folder has no recipe.yaml")
    steps, norms = values_of(series(metrics.train, "grad_norm"))
    if len(steps) < _MIN_STEPS:
        return NotApplicable(f"it needs {_MIN_STEPS} steps with a gradient norm")
    around = running_median(norms, _WIDTH)
    # Once most pairs are learnt the norms fall, and a pair that is not is no spike: it has to be large beside
    # the run's first gradients too, when everything was still to be learnt.
    first = float(np.median(norms[:_NUM_FIRST]))
    limit = np.maximum(_TIMES * around, _TIMES_FIRST * first)
    spikes = np.flatnonzero((norms > limit) & (norms > 0))
    if not len(spikes):
        return []
    worst = int(spikes[np.argmax(norms[spikes])])
    usual_there = max(float(around[worst]), first)  # beside what died away anything is a multitude
    named = ", ".join(str(step) for step in steps[spikes][:_MAX_NAMED].tolist())
    more = ", …" if len(spikes) > _MAX_NAMED else ""
    clipped = facts.recipe.train.max_grad_norm
    harmless = clipped is not None and bool((clipped <= limit[spikes]).all())
    usual = max(float(np.median(norms)), first)
    return [
        Seen(
            case="clipped" if harmless else "not_clipped",
            severity="info" if harmless else "warning",
            sure="certain",
            step=int(steps[worst]),
            evidence={
                "num_spikes": len(spikes),
                "num_steps": len(steps),
                "spike_steps": named + more,
                "worst_step": int(steps[worst]),
                "largest_norm": float(norms[worst]),
                "usual_norm": usual_there,
                "times_the_usual": float(norms[worst]) / usual_there if usual_there > 0 else None,
                "max_grad_norm": clipped,
            },
            recipe_key="train.max_grad_norm",
            recipe_value=None if harmless else float(f"{2 * usual:.2g}"),
        )
    ]


RULE = Rule(
    name="gradient_spikes",
    sentences={
        "clipped": "The gradient is far above those around it at {num_spikes} of {num_steps} steps "
        "({spike_steps}): at step {worst_step} its norm is {largest_norm:.3g}, where {usual_norm:.3g} is "
        "usual; it was clipped to {max_grad_norm:g}.",
        "not_clipped": "The gradient is far above those around it at {num_spikes} of {num_steps} steps "
        "({spike_steps}): at step {worst_step} its norm is {largest_norm:.3g}, where {usual_norm:.3g} is "
        "usual.",
    },
    meaning="A few batches pull much harder than all others: where nothing clips them one odd row may decide "
    "where the model goes, and Adam's step stays small for long after.",
    remedy="Look for odd rows (palate data audit: very long, repeated, in another language), and clip where "
    "the recipe does not: train.max_grad_norm. A larger train.batch_size evens batches out.",
    reason="8 times the median of the 21 steps around, and twice that of the first 5, when all was still to "
    "be learnt: norms of batches of one kind of data vary by a factor of 2 or 3.",
    check=_check,
)
