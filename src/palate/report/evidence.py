"""What a comparison measured, as rows to draw and the numbers behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles

from palate.report.checked import Interval
from palate.report.comparison import Comparison, PairedWinRate
from palate.report.drawing import colour_of
from palate.report.phrases import Phrases
from palate.report.row_plots import Mark, Row, RowPlot, Spread
from palate.report.wording import ABSENT, number, percent, signed, whole

__all__ = [
    "MAX_ROWS",
    "Grid",
    "Plotted",
    "benchmarks",
    "left_out",
    "lengths",
    "measures",
    "ranking",
    "win_rates",
]

RATE_COLUMNS = (
    "rate_of", "rate_wins", "rate_losses", "rate_ties", "rate_missing", "rate", "rate_bootstrap",
    "rate_sign_test", "rate_length", "rate_agreement", "rate_more", "rate_within",
)  # fmt: skip
LENGTH_COLUMNS = (
    "model", "length_answers", "length_mean", "length_p5", "length_p25", "length_p50", "length_p75",
    "length_p95", "length_longest",
)  # fmt: skip
BENCHMARK_COLUMNS = (
    "benchmark_task", "benchmark_base", "benchmark_tuned", "benchmark_difference", "interval_95",
    "benchmark_samples",
)  # fmt: skip
MAX_ROWS = 60
"""Of one plot: what stands against the baseline comes first in the file."""
MAX_DOTS = 400
"""Of one model: more of them are a smear."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: the first column's heading is the first of `columns`, the first of a row its heading."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Plotted:
    """A plot, the numbers behind it, and what has to be known to read it."""

    plot: RowPlot
    numbers: Grid
    notes: tuple[str, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    """Colours and what they stand for, where the rows do not say it."""
    warnings: tuple[str, ...] = ()


def win_rates(comparison: Comparison, say: Phrases) -> Plotted | None:
    """Every pair of models with its interval against one half, and what corrections leave of it."""
    found = [rate for rate in _rates(comparison) if rate.win_rate is not None]
    if not found:
        return None
    rates = found[:MAX_ROWS]
    rows = tuple(_rate_row(rate, say) for rate in rates)
    columns = tuple(say(name) for name in RATE_COLUMNS)
    numbers = _without_empty(Grid(columns, tuple(_rate_cells(rate, say) for rate in rates)))
    keys = [("accent", say("rate"))]
    notes = []
    for key, colour, share in (
        ("rate_length", "third", "length_controlled_win_rate"),
        ("rate_agreement", "fourth", "agreement_corrected_win_rate"),
    ):
        if any(getattr(rate, share) is not None for rate in rates):
            keys.append((colour, say(key)))
            notes.append(say(f"{key}_note"))
    notes += left_out(found, say)
    warnings = [warning for rate in rates for warning in rate.warnings]
    label = say("list_semicolon").join(f"{row.name} {row.figure}" for row in rows)
    plot = RowPlot(
        "win-rates",
        say("labelled", name=say("rates_title"), text=label),
        rows,
        (0.0, 1.0),
        (0.5, say("level_half")),
        share=True,
    )
    shown_keys = tuple(keys) if len(keys) > 1 else ()
    return Plotted(plot, numbers, tuple(notes), shown_keys, tuple(dict.fromkeys(warnings)))


def _rates(comparison: Comparison) -> Sequence[PairedWinRate]:
    if comparison.win_rates or comparison.win_rate is None:
        return comparison.win_rates
    counted = comparison.win_rate.model_dump()
    return (PairedWinRate(of=comparison.tuned, against=comparison.base, **counted),)


def _rate_row(rate: PairedWinRate, say: Phrases) -> Row:
    assert rate.win_rate is not None
    corrected = (
        (rate.length_controlled_win_rate, rate.length_controlled_interval_95, "third"),
        (rate.agreement_corrected_win_rate, rate.agreement_corrected_interval_95, "fourth"),
    )
    lanes: list[tuple[Mark | Spread, ...]] = [(Mark(rate.win_rate, rate.interval_95),)]
    lanes += [
        (Mark(share, interval, its_colour, strong=False),)
        for share, interval, its_colour in corrected
        if share is not None
    ]
    name = say("rate_row", of=rate.of, against=rate.against)
    return Row(name, percent(rate.win_rate), tuple(lanes))


def _rate_cells(rate: PairedWinRate, say: Phrases) -> tuple[str, ...]:
    counts = (rate.num_wins, rate.num_losses, rate.num_ties, rate.num_missing)
    return (
        say("rate_row", of=rate.of, against=rate.against),
        *(whole(count) for count in counts),
        _share(rate.win_rate, rate.interval_95, say),
        say.share_range(rate.bootstrap_interval_95),
        number(rate.sign_test_p),
        _share(rate.length_controlled_win_rate, rate.length_controlled_interval_95, say),
        _share(rate.agreement_corrected_win_rate, rate.agreement_corrected_interval_95, say),
        whole(rate.num_more_to_settle),
        ""
        if rate.within is None
        else say("rate_within_cell", n=rate.within.num_more, half=f"{rate.within.half_width:.3g}"),
    )


def _share(share: float | None, interval: Interval | None, say: Phrases) -> str:
    return _figure(share, interval, say, _exact_percent)


def _figure(
    value: float | None, interval: Interval | None, say: Phrases, show: Callable[[float], str] = number
) -> str:
    if value is None:
        return ABSENT
    spread = say.share_range(interval) if show is _exact_percent else say.range(interval, show)
    inside = say("bracketed", inside=spread) if interval is not None else ""
    return f"{show(value)}{inside}"


def _show_of(figure: str) -> Callable[[float], str]:
    if figure.endswith("_share"):
        return _exact_percent
    return whole if figure.endswith("_length") else number


def _exact_percent(share: float) -> str:
    return f"{share * 100:.1f}%"


def _without_empty(grid: Grid) -> Grid:
    """The table without the columns in which nothing was measured."""
    kept = [
        place
        for place in range(len(grid.columns))
        if place == 0 or any(row[place] not in ("", ABSENT) for row in grid.rows)
    ]
    return Grid(
        tuple(grid.columns[place] for place in kept),
        tuple(tuple(row[place] for place in kept) for row in grid.rows),
    )


def ranking(comparison: Comparison, say: Phrases) -> Grid | None:
    """More than two models in their order."""
    if not comparison.ranking:
        return None
    ranked = sorted(comparison.ranking, key=lambda one: -(one.strength or 0.0))
    rows = [(one.model, number(one.strength), say.range(one.interval_95)) for one in ranked[:MAX_ROWS]]
    return Grid((say("model"), say("ranking_strength"), say("interval_95")), tuple(rows))


def lengths(comparison: Comparison, say: Phrases) -> Plotted | None:
    """How long the answers of each model are, from all samples of the file."""
    by_model = {
        name: [len(a.text) for sample in comparison.samples for a in comparison.answers_of(sample, place)]
        for place, name in enumerate(comparison.names)
    }
    by_model = {name: own for name, own in by_model.items() if own}
    if not by_model:
        return None
    spreads = {name: _percentiles(own) for name, own in by_model.items()}
    right = min(
        max(max(own) for own in by_model.values()),
        2 * max(percentiles[4] for percentiles in spreads.values()),
    )
    rows, cells = [], []
    for name, own in by_model.items():
        colour = colour_of(comparison.names.index(name))
        dots = tuple(float(length) for length in own[:MAX_DOTS] if length <= right)
        median = say("length_median", characters=whole(spreads[name][2]))
        rows.append(Row(name, median, ((Spread(spreads[name], dots, colour),), ())))
        figures = (fmean(own), *spreads[name], max(own))
        cells.append((name, whole(len(own)), *(whole(figure) for figure in figures)))
    label = say("list_semicolon").join(f"{row.name} {row.figure}" for row in rows)
    name = say("labelled", name=say("lengths_title"), text=label)
    plot = RowPlot("lengths-of-answers", name, tuple(rows), (0.0, max(right, 1.0) * 1.02))
    num_beyond = sum(length > right for own in by_model.values() for length in own)
    notes = (say("length_beyond", n=num_beyond),) if num_beyond else ()
    return Plotted(plot, Grid(tuple(say(column) for column in LENGTH_COLUMNS), tuple(cells)), notes)


def _percentiles(values: Sequence[int]) -> tuple[float, float, float, float, float]:
    if len(values) == 1:
        return (float(values[0]),) * 5
    cuts = quantiles(values, n=20, method="inclusive")
    return cuts[0], cuts[4], cuts[9], cuts[14], cuts[18]


FEARS = (
    "unfinished_share", "cut_off_share", "repeating_share", "refusal_share", "empty_share", "mean_length",
    "median_length", "distinct_1", "distinct_2", "distinct_3", "self_bleu",
)  # fmt: skip
"""In this order; figures that a later version measures come after them, under their own names."""
COUNTS = ("num_answers", "num_prompts")


def measures(comparison: Comparison, say: Phrases) -> Grid | None:
    """What users fear, drift and perplexity: a row each, a column for each model."""
    names = comparison.names
    found = {name for figures in comparison.fears.values() for name in figures}
    order = [name for name in FEARS if name in found]
    order += sorted(found - set(FEARS) - set(COUNTS))[:MAX_ROWS]
    rows = []
    for figure in order:
        own = [comparison.fears.get(name, {}).get(figure) for name in names]
        show = _show_of(figure)
        cells = [_figure(m.value, m.interval_95, say, show) if m else ABSENT for m in own]
        rows.append((say.named("fear", figure), *cells))
    drift = [(comparison.drift or {}).get(name) for name in names]
    neutral = [own.neutral_text if own is not None else None for own in drift]
    for name, measured in (("measure_kl", drift), ("measure_kl_neutral", neutral)):
        cells = [_figure(d.kl_per_token, d.interval_95, say) if d else ABSENT for d in measured]
        rows.append((say(name), *cells))
    perplexity = [(comparison.perplexity or {}).get(name) for name in names]
    cells = [_figure(p.value, p.interval_95, say) if p else ABSENT for p in perplexity]
    rows.append((say("measure_perplexity"), *cells))
    cells = [_figure(p.ratio_to_base, p.ratio_interval_95, say) if p else ABSENT for p in perplexity]
    rows.append((say("measure_perplexity_ratio"), *cells))
    rows = [row for row in rows if any(cell != ABSENT for cell in row[1:])]
    return Grid((say("measure"), *names), tuple(rows)) if rows else None


def benchmarks(comparison: Comparison, say: Phrases) -> Plotted | None:
    """The tuned model's score less the base's on each task, with its interval against no difference."""
    found = comparison.benchmarks
    all_tasks = [task for task in found.tasks if task.difference is not None] if found is not None else []
    if not all_tasks:
        return None
    tasks = all_tasks[:MAX_ROWS]
    rows, cells, ends = [], [], [0.0]
    for task in tasks:
        assert task.difference is not None
        ends += [task.difference, *(task.interval_95 or ())]
        name = say("list_comma").join(part for part in (task.task, task.metric) if part)
        mark = Mark(task.difference, task.interval_95, "accent")
        rows.append(Row(name, signed(task.difference), ((mark,),)))
        scores = (number(task.base), number(task.tuned), signed(task.difference))
        cells.append((name, *scores, say.range(task.interval_95), whole(task.num_samples)))
    label = say("list_semicolon").join(f"{row.name} {row.figure}" for row in rows)
    reach = max(abs(end) for end in ends) * 1.06 or 1.0
    plot = RowPlot(
        "benchmarks",
        say("labelled", name=say("benchmarks_title"), text=label),
        tuple(rows),
        (-reach, reach),
        (0.0, say("level_no_difference")),
    )
    numbers = Grid(tuple(say(column) for column in BENCHMARK_COLUMNS), tuple(cells))
    return Plotted(plot, numbers, tuple(left_out(all_tasks, say)))


def left_out(rows: Sequence[object], say: Phrases) -> list[str]:
    """What a plot has no room for, in words."""
    num = len(rows) - MAX_ROWS
    return [say("left_out", n=num, file="evaluation/comparison.json")] if num > 0 else []
