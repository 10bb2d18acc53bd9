"""What a run shows, in words that never say more than its numbers allow.

"Better" needs an interval that lies above one half, a sign test that agrees, missing verdicts too few to undo
it, and a judge whose canaries passed; all else is left open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from palate.report.checked import Interval
from palate.report.comparison import Comparison, HeldOut, PairAccuracy, PairedWinRate, WinRate
from palate.report.curves import Rewards, rewards_of
from palate.report.folder import Run, RunSummary
from palate.report.pair_accuracy import pair_counts_in_words, pair_gain_in_words
from palate.report.phrases import ENGLISH, Phrases
from palate.report.wording import percent, shortened

__all__ = ["Claim", "Tone", "claim_of", "claim_of_comparison", "interval_in_words", "tone_of"]

Tone = Literal["better", "worse", "open"]
MAX_P = 0.05
MAX_SAID = 40
"""Models whose counts stand below the verdict; the others' are in the table of win rates, or in the file."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence, and what a careful reader wants to know beside it."""

    headline: str
    tone: Tone
    remarks: tuple[str, ...] = ()


def claim_of(run: Run, say: Phrases = ENGLISH) -> Claim:
    """The verdict on a whole run: from its comparison where there is one, else from its training alone."""
    compared = run.comparison
    if compared is not None and (
        not run.is_training
        or compared.win_rate is not None
        or compared.win_rates
        or compared.held_out is not None
        or (compared.pair_accuracy is not None and compared.pair_accuracy.against_base)
        or _withheld(compared)
    ):
        claim = claim_of_comparison(compared, say, rewards_of(run.objective))
    else:
        claim = _claim_of_training(run, say)
    return Claim(claim.headline, claim.tone, (*claim.remarks, *_preferred_share(run.summary, say)))


def claim_of_comparison(comparison: Comparison, say: Phrases = ENGLISH, rewards: Rewards = "moved") -> Claim:
    """The verdict on a comparison: from the judged answers where there are any, else from held-out pairs.

    `rewards` says what the run's rewards are, which is what held-out accuracy counts.
    """
    held_out = comparison.held_out
    reward = [] if held_out is None else [_held_out_in_words(held_out, rewards, say)]
    if (because := _withheld(comparison)) is not None:
        return Claim(say("claim_withheld"), "open", (because, say("claim_withheld_next"), *reward))
    of_base = [rate for rate in comparison.win_rates if rate.against == comparison.names[0]]
    if len(of_base) > 1:
        return _claim_of_several(comparison, of_base, reward, say)
    against_base = [rate for rate in of_base if _counted(rate)]
    figures = comparison.win_rate or (_counted(against_base[0]) if against_base else None)
    if figures is not None:
        tone = tone_of(figures)
        corrected = _corrected(against_base[0], tone, say) if against_base else []
        head = say(f"claim_{tone}") + _by_judge(comparison, say)
        return Claim(head, tone, (_words(comparison, figures, say), *corrected, *reward))
    if (pairs := comparison.pair_accuracy) is not None and pairs.against_base:
        return _claim_of_pairs(pairs, comparison, reward, say)
    if held_out is not None:
        return Claim(reward[0], _side(held_out.interval_95), (say("claim_unjudged"),))
    return Claim(say("claim_side_by_side"), "open")


def tone_of(figures: WinRate) -> Tone:
    """The side of the interval, if the sign test is as sure, and no missing verdict could undo it."""
    # Imported here: it brings scipy, which no other part of a report needs.
    from palate.statistics.win_rates import wilson_interval

    side = _side(figures.interval_95)
    if figures.sign_test_p > MAX_P:
        return "open"
    if side == "open" or not figures.num_missing:
        return side
    wins = figures.num_wins + (figures.num_missing if side == "worse" else 0)
    losses = figures.num_losses + (figures.num_missing if side == "better" else 0)
    return side if _side(wilson_interval(wins, losses, figures.num_ties)) == side else "open"


def interval_in_words(interval: Interval) -> str:
    """`95% interval 68.2% to 93.1%`, rounded outwards so that the words never claim a narrower one."""
    return ENGLISH.interval(interval)


def _withheld(comparison: Comparison) -> str | None:
    card = comparison.judge_card
    return card.withheld_because if card is not None else None


def _by_judge(comparison: Comparison, say: Phrases) -> str:
    return (
        say("claim_by_judge", judge=shortened(say.known(comparison.judge)))
        if comparison.judge
        else say("full_stop")
    )


def _counted(rate: PairedWinRate) -> WinRate | None:
    """The counts of a pair of models, where they were counted and allow a verdict."""
    if rate.interval_95 is None or rate.sign_test_p is None or rate.win_rate is None:
        return None
    return WinRate.model_validate(rate.model_dump(include=set(WinRate.model_fields)))


def _claim_of_several(
    comparison: Comparison, rates: list[PairedWinRate], reward: list[str], say: Phrases
) -> Claim:
    """Which of several models is better than the baseline, which is worse, and which is open.

    Each is another chance to err: a claim has to stand with all their sign tests taken together. Of five
    models that were the baseline's equals, one was else called better or worse in a fifth of all comparisons.
    """
    from palate.statistics.several import shown_together

    counts = {rate.of: counted for rate in rates if (counted := _counted(rate))}
    shown = shown_together({name: counted.sign_test_p for name, counted in counts.items()})
    tones: dict[str, Tone] = {
        rate.of: tone_of(counts[rate.of]) if rate.of in shown else "open" for rate in rates
    }
    said = []
    tone: Tone
    for tone in ("better", "worse", "open"):
        names = [shortened(name) for name, its in tones.items() if its == tone]
        if names:
            base = shortened(comparison.names[0])
            said.append(say(f"claim_several_{tone}", n=len(names), names=say.joined(names), base=base))
    first, *others = said
    head = say("sentence_space").join(
        [first + _by_judge(comparison, say), *(f"{one}{say('full_stop')}" for one in others)]
    )
    overall: Tone = "better" if "better" in tones.values() else "open"
    if set(tones.values()) == {"worse"}:
        overall = "worse"
    words = [_counts_in_words(rate, rate.of, rate.against, say) for rate in rates if rate.of in counts][
        :MAX_SAID
    ]
    return Claim(head, overall, (*words, *reward))


def _claim_of_pairs(pairs: PairAccuracy, comparison: Comparison, reward: list[str], say: Phrases) -> Claim:
    """Where nobody judged answers: whether models go by held-out preferences."""
    first, *others = pair_gain_in_words(pairs, comparison.names[0], say)
    sides = {gain.side for gain in pairs.against_base.values()}
    tone: Tone = "better" if "better" in sides else "worse" if sides == {"worse"} else "open"
    counts = pair_counts_in_words(pairs, comparison.names[0], say)
    return Claim(first, tone, (*others, *counts, *reward, say("claim_unjudged")))


def _words(comparison: Comparison, figures: WinRate, say: Phrases) -> str:
    """The win rate in the words of whoever counted it, so that no two places say it differently."""
    from palate.statistics import win_rates

    counted = win_rates.WinRate(**figures.model_dump())
    words = win_rates.verdict_in_words(counted, a=comparison.tuned, b=comparison.base)
    return say.translated(words) or _counts_in_words(figures, comparison.tuned, comparison.base, say)


def _counts_in_words(figures: WinRate | PairedWinRate, of: str, against: str, say: Phrases) -> str:
    return say(
        "claim_counts",
        of=of,
        against=against,
        rate=percent(figures.win_rate),
        wins=figures.num_wins,
        losses=figures.num_losses,
        ties=figures.num_ties,
        interval=say.interval(figures.interval_95),
    ) + (say("claim_missing", n=figures.num_missing) if figures.num_missing else "")


def _corrected(rate: PairedWinRate, tone: Tone, say: Phrases) -> list[str]:
    """What remains at equal lengths, and with the judge's own errors taken out."""
    said = []
    for kind, share, interval in (
        ("length", rate.length_controlled_win_rate, rate.length_controlled_interval_95),
        ("agreement", rate.agreement_corrected_win_rate, rate.agreement_corrected_interval_95),
    ):
        if share is None:
            continue
        words = say.interval(interval)
        figure = percent(share) + (say("bracketed", inside=words) if words else "")
        undone = tone != "open" and _side(interval) != tone
        said.append(say(f"claim_{kind}_open" if undone else f"claim_{kind}", figure=figure))
    return said


def _side(interval: Interval | None) -> Tone:
    """On which side of one half the whole interval lies."""
    if interval is None:
        return "open"
    low, high = interval
    return "better" if low > 0.5 else "worse" if high < 0.5 else "open"


def _held_out_in_words(held_out: HeldOut, rewards: Rewards, say: Phrases) -> str:
    pairs = say("held_out_pairs", n=held_out.num_pairs)
    if held_out.reward_accuracy is None:
        return say("held_out_not_measured", pairs=pairs)
    interval = say.interval(held_out.interval_95)
    chance = "_chance" if _side(held_out.interval_95) == "open" else ""
    return say(
        f"held_out_reward{chance}",
        prefers=say(f"prefers_{rewards}"),
        share=percent(held_out.reward_accuracy),
        pairs=pairs,
        interval=say("bracketed", inside=interval) if interval else "",
    )


def _claim_of_training(run: Run, say: Phrases) -> Claim:
    summary = run.summary
    uncompared = say("claim_uncompared") if run.comparison is None else say("claim_no_judge")
    if run.objective == "reward" and run.comparison is None:
        uncompared = say("claim_reward_model")
    if summary is None:
        seen = run.metrics.train[-1].step if run.metrics is not None and run.metrics.train else 0
        state = say("steps_recorded", n=seen) if seen else say("no_step_recorded")
        compared = () if run.comparison is None else (uncompared,)
        return Claim(say("claim_unfinished", state=state), "open", (*compared, say("claim_go_on")))
    steps = summary.num_steps
    trained = say("trained") if steps is None else say("trained_steps", n=steps)
    accuracy = summary.eval.reward_accuracy if summary.eval is not None else None
    if accuracy is None:
        return Claim(say("claim_trained_only", trained=trained), "open", (uncompared,))
    count = summary.num_pairs_eval
    pairs = say("some_held_out_pairs") if count is None else say("held_out_pairs", n=count)
    interval = say.interval(run.held_out.interval_95) if run.held_out is not None else ""
    share = percent(accuracy) + (say("bracketed", inside=interval) if interval else "")
    prefers = say(f"then_prefers_{rewards_of(run.objective)}")
    head = say("claim_trained", trained=trained, prefers=prefers, share=share, pairs=pairs)
    return Claim(head, "open", (uncompared,))


def _preferred_share(summary: RunSummary | None, say: Phrases) -> tuple[str, ...]:
    if summary is None or summary.preferred_share_before is None or summary.preferred_share_after is None:
        return ()
    before, after = percent(summary.preferred_share_before), percent(summary.preferred_share_after)
    return (say("claim_preferred_share", before=before, after=after),)
