"""How often each model finds the chosen side of held-out pairs likelier: drawn, in a table, and in words."""

from __future__ import annotations

import math

from palate.report.checked import Interval, Measured
from palate.report.comparison import Comparison, PairAccuracy, PairGain
from palate.report.drawing import colour_of
from palate.report.evidence import Grid, Plotted
from palate.report.phrases import Phrases
from palate.report.row_plots import Mark, Row, RowPlot
from palate.report.wording import ABSENT, number, percent

__all__ = ["pair_accuracy", "pair_counts_in_words", "pair_gain_in_words"]

_COLUMNS = (
    "model", "pairs_accuracy", "pairs_accuracy_of_sums", "pairs_gained", "pairs_lost", "pairs_difference",
    "interval_95", "rate_sign_test", "pairs_reward",
)  # fmt: skip


def pair_accuracy(comparison: Comparison, say: Phrases) -> Plotted | None:
    """Each model's accuracy per token against one half, and how it differs from the base's."""
    found = comparison.pair_accuracy
    if found is None or not found.models:
        return None
    rows, cells = [], []
    for place, (name, own) in enumerate(found.models.items()):
        value = own.accuracy.value
        if value is not None:
            mark = Mark(value, own.accuracy.interval_95, colour_of(place))
            rows.append(Row(name, percent(value), ((mark,),)))
        measured = (_share(own.accuracy, say), _share(own.accuracy_of_sums, say))
        cells.append((name, *measured, *_gain_cells(found.against_base.get(name), say)))
    if not rows:
        return None
    label = say("list_semicolon").join(f"{row.name} {row.figure}" for row in rows)
    plot = RowPlot(
        "pair-accuracy",
        say("labelled", name=say("pairs_title"), text=label),
        tuple(rows),
        (0.0, 1.0),
        (0.5, say("level_half")),
        share=True,
    )
    numbers = Grid(tuple(say(column) for column in _COLUMNS), tuple(cells))
    return Plotted(plot, numbers, (say("pairs_note"),), (), found.warnings)


def pair_gain_in_words(found: PairAccuracy, base: str, say: Phrases) -> list[str]:
    """A sentence for each model beside the base: no more than the interval allows."""
    return [say(f"pairs_{gain.side}", of=name, base=base) for name, gain in found.against_base.items()]


def pair_counts_in_words(found: PairAccuracy, base: str, say: Phrases) -> list[str]:
    """The figures behind these sentences."""
    return [_counts(found, name, base, gain, say) for name, gain in found.against_base.items()]


def _counts(found: PairAccuracy, name: str, base: str, gain: PairGain, say: Phrases) -> str:
    own, theirs = found.models.get(name), found.models.get(base)
    return say(
        "pairs_counts",
        of=name,
        base=base,
        own=percent(own.accuracy.value) if own is not None else ABSENT,
        theirs=percent(theirs.accuracy.value) if theirs is not None else ABSENT,
        pairs=say("held_out_pairs", n=found.num_pairs),
        difference=_points(gain.difference, say),
        interval=_range(gain.difference_interval_95, say),
    )


def _gain_cells(gain: PairGain | None, say: Phrases) -> tuple[str, ...]:
    if gain is None:
        return (ABSENT,) * 6
    return (
        f"{gain.num_gained:,}",
        f"{gain.num_lost:,}",
        _points(gain.difference, say),
        _range(gain.difference_interval_95, say),
        number(gain.sign_test_p),
        _share(gain.reward_accuracy, say),
    )


def _share(measured: Measured, say: Phrases) -> str:
    if measured.value is None:
        return ABSENT
    interval = measured.interval_95
    inside = say("bracketed", inside=say.share_range(interval)) if interval is not None else ""
    return f"{100 * measured.value:.1f}%{inside}"


def _points(difference: float | None, say: Phrases) -> str:
    return ABSENT if difference is None else say("points", n=_signed_points(difference))


def _range(interval: Interval | None, say: Phrases) -> str:
    """Rounded outwards, as every interval of shares is."""
    if interval is None:
        return ABSENT
    low, high = math.floor(interval[0] * 1000) / 10, math.ceil(interval[1] * 1000) / 10
    return say("range", low=f"{low:+.1f}", high=f"{high:+.1f}")


def _signed_points(difference: float) -> str:
    return f"{100 * difference:+.1f}"
