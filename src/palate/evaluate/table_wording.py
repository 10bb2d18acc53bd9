"""What is said of a table's win rate: of the one that is printed, no more than its interval allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palate.data.judgements import Judged
from palate.statistics.effective import effective_number
from palate.statistics.judged import JudgedWinRate, judged_win_rate
from palate.statistics.win_rates import comparisons_needed, interval_in_words, verdict_in_words

__all__ = ["as_sides", "num_more_to_settle", "sentence_on"]


def sentence_on(figures: JudgedWinRate, rows: Sequence[Judged], of: str, against: str) -> str:
    """What may be said; where the judge gives probabilities, of their mean and its interval."""
    if not figures.is_soft or figures.win_rate is None:
        return verdict_in_words(figures.counts, of, against)
    num, missing = figures.counts.num_comparisons, figures.counts.num_missing
    interval = interval_in_words(figures.interval_95)
    rate = f"{of} has a win rate of {figures.win_rate:.1%} over {_count(num, 'comparison')}"
    side = _side(figures.interval_95)
    if side:
        better, worse = (of, against) if side > 0 else (against, of)
        said = [f"{better} is preferred to {worse}: {rate} ({interval})."]
        if missing and _side(_with_missing_lost(figures, rows, side).interval_95) != side:
            said.append("It would not hold if all missing verdicts had gone the other way.")
    else:
        said = [f"No difference is shown: {rate}, and the {interval} holds 50%."]
        more = num_more_to_settle(figures, rows)
        if more is not None:
            said.append(f"At this rate about {_count(more, 'more comparison')} would settle it.")
    if missing:
        has, is_ = ("has", "is") if missing == 1 else ("have", "are")
        said.append(f"{_count(missing, 'comparison')} {has} no verdict and {is_} not counted.")
    return " ".join(said)


def num_more_to_settle(figures: JudgedWinRate, rows: Sequence[Judged]) -> int | None:
    """How many more comparisons, at this rate, until `interval_95` leaves 50% out.

    0 where it does already; None where no number would, or one prompt says nothing of the next.
    """
    if not figures.is_soft or figures.win_rate is None:
        return figures.counts.num_more_to_settle
    if _side(figures.interval_95):
        return 0
    given = [(row.score, row.prompt) for row in rows if row.score is not None]
    prompts = [prompt for _, prompt in given]
    if len(set(prompts)) < 2:
        return None
    effective = effective_number(np.array([score for score, _ in given], dtype=np.float64), prompts)
    more = comparisons_needed(figures.win_rate, len(given), design_effect=len(given) / effective)
    return None if more is None else max(more, 1)


def as_sides(figures: JudgedWinRate, of: str) -> str | None:
    """Where a judge's probabilities show something else than the sides they lie on: what those show."""
    counts = figures.counts
    if counts.win_rate is None or _side(figures.interval_95) == _side(counts.interval_95):
        return None
    interval = interval_in_words(counts.interval_95)
    return (
        f"Counted as wins and losses {of} has {counts.win_rate:.1%} ({interval}): "
        "whether a judge's probabilities count, or only the side each lies on, decides what this table shows."
    )


def _with_missing_lost(figures: JudgedWinRate, rows: Sequence[Judged], side: int) -> JudgedWinRate:
    """The same with every missing verdict against whoever is ahead."""
    lost = 0.0 if side > 0 else 1.0
    scores = [lost if row.score is None else row.score for row in rows]
    return judged_win_rate(scores, [row.prompt for row in rows])


def _side(interval: tuple[float, float]) -> int:
    """Of 50%: 1 above it, -1 below, 0 where the interval holds it."""
    low, high = interval
    return int(low > 0.5) - int(high < 0.5)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
