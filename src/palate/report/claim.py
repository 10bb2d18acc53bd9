"""What a run shows, in words that never say more than its numbers allow.

"Better" needs an interval that lies above one half, a sign test that agrees, and missing verdicts too few to
undo it; all else is left open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from palate.report.folder import Comparison, HeldOut, Interval, Run, RunSummary, WinRate
from palate.report.wording import percent, plural

__all__ = ["Claim", "claim_of", "claim_of_comparison", "interval_in_words"]

Tone = Literal["better", "worse", "open"]
MAX_P = 0.05


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence, and what a careful reader wants to know beside it."""

    headline: str
    tone: Tone
    remarks: tuple[str, ...] = ()


def claim_of(run: Run) -> Claim:
    """The verdict on a whole run: from its comparison where there is one, else from its training alone."""
    if run.comparison is not None and (
        run.comparison.win_rate is not None or run.comparison.held_out is not None
    ):
        claim = claim_of_comparison(run.comparison)
    else:
        claim = _claim_of_training(run)
    return Claim(claim.headline, claim.tone, (*claim.remarks, *_preferred_share(run.summary)))


def claim_of_comparison(comparison: Comparison) -> Claim:
    """The verdict on a comparison: from the judged answers where there are any, else from held-out pairs."""
    held_out = comparison.held_out
    reward = [] if held_out is None else [_held_out_in_words(held_out)]
    if comparison.win_rate is not None:
        tone = _tone(comparison.win_rate)
        head = {
            "better": "The tuned model answers better than the base model",
            "worse": "The tuned model answers worse than the base model",
            "open": "It is not settled whether the tuned model answers better than the base model",
        }[tone]
        judge = f", by the judge “{comparison.judge}”" if comparison.judge else ""
        return Claim(f"{head}{judge}.", tone, (_words(comparison), *reward))
    if held_out is not None:
        unjudged = "The answers were not judged, so this says nothing about how they read."
        return Claim(reward[0], _side(held_out.interval_95), (unjudged,))
    return Claim("The answers stand side by side; no judge compared them.", "open")


def _words(comparison: Comparison) -> str:
    """The win rate in the words of whoever counted it, so that no two places say it differently."""
    # Imported here: it brings scipy, which no other part of a report needs.
    from palate.statistics import win_rates

    assert comparison.win_rate is not None
    counted = win_rates.WinRate(**comparison.win_rate.model_dump())
    return win_rates.verdict_in_words(counted, a=comparison.tuned, b=comparison.base)


def _tone(figures: WinRate) -> Tone:
    """The side of the interval, if the sign test is as sure, and no missing verdict could undo it."""
    from palate.statistics.win_rates import wilson_interval

    side = _side(figures.interval_95)
    if figures.sign_test_p > MAX_P:
        return "open"
    if side == "open" or not figures.num_missing:
        return side
    wins = figures.num_wins + (figures.num_missing if side == "worse" else 0)
    losses = figures.num_losses + (figures.num_missing if side == "better" else 0)
    return side if _side(wilson_interval(wins, losses, figures.num_ties)) == side else "open"


def _side(interval: Interval | None) -> Tone:
    """On which side of one half the whole interval lies."""
    if interval is None:
        return "open"
    low, high = interval
    return "better" if low > 0.5 else "worse" if high < 0.5 else "open"


def interval_in_words(interval: Interval) -> str:
    """`95% interval 68.2% to 93.1%`, rounded outwards so that the words never claim a narrower one."""
    low, high = interval
    return f"95% interval {math.floor(low * 1000) / 10:.1f}% to {math.ceil(high * 1000) / 10:.1f}%"


def _held_out_in_words(held_out: HeldOut) -> str:
    pairs = plural(held_out.num_pairs, "held-out pair")
    if held_out.reward_accuracy is None:
        return f"The reward accuracy on {pairs} was not measured."
    interval = "" if held_out.interval_95 is None else f" ({interval_in_words(held_out.interval_95)})"
    tail = "" if _side(held_out.interval_95) != "open" else ", which chance alone could give"
    share = percent(held_out.reward_accuracy)
    return f"Its reward prefers the chosen answer in {share} of {pairs}{interval}{tail}."


def _claim_of_training(run: Run) -> Claim:
    summary = run.summary
    uncompared = "Its answers were not compared with the base model's, so nothing is claimed about them."
    if run.comparison is not None:
        uncompared = "No judge compared the answers below, so nothing is claimed about them."
    if summary is None:
        seen = run.metrics.train[-1].step if run.metrics is not None and run.metrics.train else 0
        state = f"{plural(seen, 'step')} recorded so far" if seen else "no training step is recorded"
        return Claim(f"This run has not finished: {state}.", "open", (uncompared,))
    trained = "Trained" if summary.num_steps is None else f"Trained for {plural(summary.num_steps, 'step')}"
    accuracy = summary.eval.reward_accuracy if summary.eval is not None else None
    if accuracy is None:
        return Claim(f"{trained}; nothing was measured on held-out pairs.", "open", (uncompared,))
    pairs = (
        "held-out pairs"
        if summary.num_pairs_eval is None
        else plural(summary.num_pairs_eval, "held-out pair")
    )
    head = f"{trained}; its reward prefers the chosen answer in {percent(accuracy)} of {pairs}."
    return Claim(head, "open", (uncompared,))


def _preferred_share(summary: RunSummary | None) -> tuple[str, ...]:
    if summary is None or summary.preferred_share_before is None or summary.preferred_share_after is None:
        return ()
    before, after = percent(summary.preferred_share_before), percent(summary.preferred_share_after)
    return (f"The preferred style's share of its answers went from {before} to {after}.",)
