"""Plots of rows, a name above each: intervals against a level, spreads of lengths, distances of style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from palate.report.checked import Interval
from palate.report.drawing import Words, draw_figure, text_at
from palate.report.svg import COLOURS, StyleSheet

__all__ = ["Band", "Mark", "Row", "RowPlot", "Spread", "draw_rows"]

WIDTH_INCHES = 4.9
"""Narrower than a curve: a phone shows it in nearly this size, and its names can still be read."""
SMALL, NORMAL = 8.5, 9.5
"""Points: of axes and levels, of names and figures."""
TOP, NAME, LANE, GAP, BOTTOM = 0.26, 0.25, 0.16, 0.2, 0.3
"""Inches: above all rows, of a row's name, of each of its lanes, below it, and of the axis."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure with its interval. `strong` marks are drawn heavier than what corrects them."""

    value: float
    interval: Interval | None = None
    colour: str = "accent"
    strong: bool = True


@dataclass(frozen=True, slots=True)
class Spread:
    """How figures are spread: the 5th, 25th, 50th, 75th and 95th percentile, and each of them as a dot."""

    percentiles: tuple[float, float, float, float, float]
    dots: tuple[float, ...]
    colour: str


@dataclass(frozen=True, slots=True)
class Band:
    """A range in which a row's marks say nothing."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """A name with a figure in words at the right, and lanes: what stands in one lane is drawn on one line."""

    name: str
    figure: str
    lanes: tuple[tuple[Mark | Spread, ...], ...]
    band: Band | None = None


@dataclass(frozen=True, slots=True)
class RowPlot:
    """`level` is a line to read the rows against, with its meaning; `share` says that figures are shares."""

    name: str
    label: str
    rows: tuple[Row, ...]
    limits: Interval
    level: tuple[float, str] | None = None
    share: bool = False


def draw_rows(plot: RowPlot, styles: StyleSheet) -> Markup:
    """The plot as an inline SVG element, the same bytes for the same numbers."""
    heights = [NAME + LANE * len(row.lanes) + GAP for row in plot.rows]
    total = TOP + sum(heights) + BOTTOM

    def paint(figure: Any, words: Words) -> None:
        axes = figure.add_axes((0.012, BOTTOM / total, 0.976, 1 - BOTTOM / total))
        axes.set_xlim(*plot.limits)
        axes.set_ylim(total - BOTTOM, 0)
        axes.set_yticks([])
        _paint_axis(axes, plot, words)
        top = TOP
        for row, height in zip(plot.rows, heights, strict=True):
            _paint_row(axes, row, top, words)
            top += height

    return draw_figure(
        paint, size_inches=(WIDTH_INCHES, total), name=plot.name, label=plot.label, styles=styles
    )


def _paint_axis(axes: Any, plot: RowPlot, words: Words) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter

    axes.grid(True, axis="x")
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    if plot.share:
        axes.xaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        # Centred on their ticks, the outermost labels would be cut off by the figure's edge.
        first, *_, last = axes.get_xticklabels()
        first.set_ha("left")
        last.set_ha("right")
    if plot.level is not None:
        place, meaning = plot.level
        bottom = axes.get_ylim()[0]
        axes.plot((place, place), (0.2, bottom), color=COLOURS["muted"], linewidth=1.1, zorder=1.5)
        look = {"fontsize": SMALL, "ha": "center", "va": "baseline", "color": COLOURS["muted"]}
        axes.text(place, 0.13, words(meaning), gid="halo", **look)


def _paint_row(axes: Any, row: Row, top: float, words: Words) -> None:
    text_at(axes, 0, top + 0.13, words(row.name), gid="halo", fontsize=NORMAL)
    text_at(axes, 1, top + 0.13, words(row.figure), ha="right", gid="halo", fontsize=NORMAL)
    first = top + NAME + 0.03
    if row.band is not None:
        low, high = first - LANE / 2, first + LANE * (len(row.lanes) - 0.5)
        axes.fill_between(
            [row.band.low, row.band.high], low, high, color=COLOURS["grid"], linewidth=0, zorder=1.2
        )
    for lane, drawn in enumerate(row.lanes):
        for one in drawn:
            if isinstance(one, Mark):
                _paint_mark(axes, one, first + LANE * lane)
            else:
                _paint_spread(axes, one, first + LANE * lane)


def _paint_mark(axes: Any, mark: Mark, height: float) -> None:
    colour = COLOURS[mark.colour]
    if mark.interval is not None:
        axes.plot(mark.interval, (height, height), color=colour, linewidth=3.2 if mark.strong else 1.6)
    look = (
        {"marker": "o", "markersize": 7.5}
        if mark.strong
        else {"marker": "D", "markersize": 5, "markerfacecolor": COLOURS["paper"], "markeredgewidth": 1.4}
    )
    axes.plot([mark.value], [height], color=colour, linestyle="none", zorder=3, **look)


def _paint_spread(axes: Any, spread: Spread, height: float) -> None:
    colour = COLOURS[spread.colour]
    p5, p25, p50, p75, p95 = spread.percentiles
    axes.plot((p5, p95), (height, height), color=colour, linewidth=1.4, zorder=2)
    axes.plot((p25, p75), (height, height), color=colour, linewidth=6, solid_capstyle="butt", zorder=2)
    axes.plot([p50, p50], [height - 0.075, height + 0.075], color=COLOURS["ink"], linewidth=2, zorder=3)
    heights = [height + 0.125 + 0.06 * _scatter(place) for place in range(len(spread.dots))]
    axes.plot(
        spread.dots,
        heights,
        color=colour,
        alpha=0.45,
        linestyle="none",
        marker="o",
        markersize=2.4,
        markeredgewidth=0,
    )


def _scatter(place: int) -> float:
    """Between 0 and 1, spread evenly without a random generator: the golden ratio's multiples."""
    return place * 0.6180339887 % 1
