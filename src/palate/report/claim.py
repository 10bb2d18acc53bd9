"""What a run shows, in words that never say more than its numbers allow.

"Better" needs an interval that lies above one half *and* a sign test that agrees; all else is left open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from palate.report.folder import Comparison, HeldOut, Interval, Run, RunSummary, WinRate
from palate.report.wording import p_value, percent, plural

__all__ = ["Claim", "claim_of", "claim_of_comparison", "interval_in_words", "win_rate_in_words"]

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
    remarks = [] if held_out is None else [_held_out_in_words(held_out)]
    if comparison.win_rate is not None:
        tone = _tone(comparison.win_rate)
        head = {
            "better": f"{comparison.tuned} answers better than {comparison.base}",
            "worse": f"{comparison.tuned} answers worse than {comparison.base}",
            "open": f"It is open whether {comparison.tuned} answers better than {comparison.base}",
        }[tone]
        judge = f"as {comparison.judge} judges" if comparison.judge else "by its verdicts"
        return Claim(
            f"{head}, {judge}: {win_rate_in_words(comparison.win_rate)}.",
            tone,
            (*_limits(comparison), *remarks),
        )
    if held_out is not None:
        unjudged = "The answers were not judged, so this says nothing about how they read."
        return Claim(_held_out_in_words(held_out), _side(held_out.interval_95), (unjudged,))
    return Claim("The answers stand side by side below; no judge compared them.", "open")


def _tone(figures: WinRate) -> Tone:
    side = _side(figures.interval_95)
    return side if figures.sign_test_p is None or figures.sign_test_p <= MAX_P else "open"


def _side(interval: Interval | None) -> Tone:
    """On which side of one half the whole interval lies."""
    if interval is None:
        return "open"
    low, high = interval
    return "better" if low > 0.5 else "worse" if high < 0.5 else "open"


def win_rate_in_words(figures: WinRate) -> str:
    """`win rate 84% over 32 prompts (95% interval 68% to 93%)`."""
    judged = figures.num_wins + figures.num_losses + figures.num_ties
    if judged == 0 or figures.win_rate is None:
        return "no prompt has a verdict"
    words = f"win rate {percent(figures.win_rate)} over {plural(judged, 'prompt')}"
    return words if figures.interval_95 is None else f"{words} ({interval_in_words(figures.interval_95)})"


def interval_in_words(interval: Interval) -> str:
    """`95% interval 68% to 93%`; finer where rounding could hide on which side of one half a bound lies."""
    close = any(abs(bound - 0.5) < 0.006 for bound in interval)
    low, high = (f"{bound * 100:.1f}%" if close else percent(bound) for bound in interval)
    return f"95% interval {low} to {high}"


def _limits(comparison: Comparison) -> tuple[str, ...]:
    figures = comparison.win_rate
    assert figures is not None
    counts = f"{plural(figures.num_wins, 'win')}, {plural(figures.num_losses, 'loss', 'losses')}, "
    counts += plural(figures.num_ties, "tie")
    if figures.sign_test_p is not None:
        counts += f"; sign test {p_value(figures.sign_test_p)}"
    remarks = [counts + "."]
    if figures.num_missing:
        remarks.append(f"{plural(figures.num_missing, 'prompt')} without a verdict, counted for neither.")
    if _tone(figures) == "open" and figures.num_more_to_settle:
        remarks.append(f"About {plural(figures.num_more_to_settle, 'more comparison')} would settle it.")
    return tuple(remarks)


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
