"""evaluation_too_small: the held-out accuracy is known too vaguely to tell runs apart."""

from __future__ import annotations

from collections.abc import Sequence

from palate.evaluate.diagnosis.curves import Metrics
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.finding import NotApplicable, Rule, Seen

__all__ = ["RULE"]

_WIDEST = 0.2
_NUM_PROMPTS_FOR_TEN_POINTS = 97


def _check(metrics: Metrics, facts: Facts) -> Sequence[Seen] | NotApplicable:
    if facts.recipe is None:
        return NotApplicable("the run folder has no recipe.yaml")
    if not facts.learns_from_pairs:
        return NotApplicable("the objective counts no pairs in the right order")
    found = facts.accuracy_at_best()
    if found is None:
        if metrics.eval:
            return NotApplicable("no held-out margins were written")
        return NotApplicable("nothing was held out, or not yet evaluated")
    low, high = found.interval_95
    if high - low <= _WIDEST:
        return []
    open_ = low <= 0.5 <= high
    return [
        Seen(
            case="coin" if open_ else "wide",
            severity="warning" if open_ else "info",
            sure="certain",
            evidence={
                "num_pairs": found.num_pairs,
                "num_prompts": found.num_prompts,
                "accuracy_low": low,
                "accuracy_high": high,
            },
            recipe_key="data.eval" if facts.recipe.data.eval is not None else "data.eval_fraction",
            recipe_value=_fraction(facts),
        )
    ]


def _fraction(facts: Facts) -> float | None:
    """The share that would hold out enough prompts; None where half would not be enough."""
    if facts.recipe is None or facts.recipe.data.eval is not None or not facts.num_eval_prompts:
        return None
    wanted = facts.recipe.data.eval_fraction * _NUM_PROMPTS_FOR_TEN_POINTS / facts.num_eval_prompts
    return float(f"{wanted:.2g}") if wanted <= 0.5 else None


RULE = Rule(
    name="evaluation_too_small",
    sentences={
        "wide": "{num_pairs:,} held-out pairs of {num_prompts:,} prompts put the accuracy between "
        "{accuracy_low:.1%} and {accuracy_high:.1%}.",
        "coin": "{num_pairs:,} held-out pairs of {num_prompts:,} prompts put the accuracy between "
        "{accuracy_low:.1%} and {accuracy_high:.1%}, so nobody can tell whether the model has learnt "
        "anything.",
    },
    meaning="Two runs, or two steps of one, could differ by ten points and nobody would see it here.",
    remedy="Hold out more: data.eval_fraction, or a larger data.eval. About 100 prompts give 10 points "
    "either way, 400 give 5.",
    reason="The 95% interval of the held-out accuracy, prompts counted, is wider than 20 points.",
    check=_check,
    live=False,
)
