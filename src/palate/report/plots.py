"""Curves as drawings: thin axes, direct marks, colours that follow the page into the dark."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from palate.evaluate.diagnosis.curves import Series
from palate.report.curves import Curve
from palate.report.drawing import Words, draw_figure
from palate.report.svg import COLOURS, StyleSheet

__all__ = ["draw", "smoothing_window"]

SIZE_INCHES = (6.2, 3.1)
MAX_POINTS = 600
"""More points than a plot has dots across say nothing more; above this, neighbours are averaged."""


def smoothing_window(num_steps: int) -> int:
    """Training steps averaged for the solid line; 1 where a run is too short to need it."""
    return max(1, num_steps // 25) | 1 if num_steps >= 40 else 1


def draw(curve: Curve, styles: StyleSheet) -> Markup:
    """The curve as an inline SVG element, the same bytes for the same numbers."""

    def paint(figure: Any, words: Words) -> None:
        _paint(figure.add_axes((0.095, 0.125, 0.89, 0.78)), curve, words)

    return draw_figure(
        paint, size_inches=SIZE_INCHES, name=curve.panel.name, label=curve.label, styles=styles
    )


def _paint(axes: Any, curve: Curve, words: Words) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for index in curve.drawn:
        colour = COLOURS[curve.panel.lines[index].colour]
        _draw_train(axes, curve.train[index], colour, smooth=curve.panel.smooth)
        _draw_eval(axes, curve.eval[index], colour)
    axes.margins(x=0.015, y=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    axes.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=False)
    if curve.panel.share:
        axes.set_ylim(-0.03, 1.05)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _draw_level(axes, curve, words)
    _draw_best_step(axes, curve, words)


def _draw_train(axes: Any, found: Series, colour: str, *, smooth: bool) -> None:
    if not found:
        return
    steps, values = _averaged(found)
    window = smoothing_window(len(steps)) if smooth else 1
    pale = {"linewidth": 1.1, "alpha": 0.28} if window > 1 else {"linewidth": 1.7}
    axes.plot(steps, values, color=colour, **pale)
    alone = _alone(values)
    if alone:
        dots = [steps[i] for i in alone], [values[i] for i in alone]
        axes.plot(*dots, color=colour, linestyle="none", marker="o", markersize=2.6, markeredgewidth=0)
    if window > 1:
        axes.plot(steps, _smoothed(values, window), color=colour, linewidth=1.7)


def _draw_eval(axes: Any, found: Series, colour: str) -> None:
    if not found:
        return
    steps, values = _averaged(found)
    axes.plot(
        steps,
        values,
        color=colour,
        linewidth=1.2,
        linestyle=(0, (1, 2.2)),
        dash_capstyle="round",
        marker="o",
        markersize=4.6 if len(steps) <= 40 else 2.5,
        markeredgewidth=0,
    )


def _draw_level(axes: Any, curve: Curve, words: Words) -> None:
    """A line to read the curve against, where the curve comes near it: it must not squeeze the curve flat."""
    if curve.level is None:
        return
    height, meaning = curve.level
    low, high = axes.get_ylim()
    reach = high - low
    if not low - 0.35 * reach <= height <= high + 0.35 * reach:
        return
    axes.set_ylim(min(low, height - 0.06 * reach), max(high, height + 0.1 * reach))
    axes.axhline(height, color=COLOURS["muted"], linewidth=0.9, zorder=1.5)
    if meaning:
        at_right = {"x": _end_of_level(axes, curve), "ha": "right", "va": "bottom"}
        at_right["transform"] = axes.get_yaxis_transform()
        axes.text(y=height, s=words(meaning), fontsize=10, color=COLOURS["muted"], gid="halo", **at_right)


def _end_of_level(axes: Any, curve: Curve) -> float:
    """Where the level's meaning ends, as a share of the width: before the best step's line, not across it."""
    place = _place_of_best(axes, curve)
    return place - 0.015 if place is not None and place > 0.6 else 1.0


def _place_of_best(axes: Any, curve: Curve) -> float | None:
    """The best step as a share of the width; None where it is not on the plot."""
    if curve.best_step is None:
        return None
    low, high = axes.get_xlim()
    place = float((curve.best_step - low) / (high - low)) if high > low else 0.5
    return place if 0 <= place <= 1 else None


def _draw_best_step(axes: Any, curve: Curve, words: Words) -> None:
    place = _place_of_best(axes, curve)
    if place is None:
        return
    axes.axvline(curve.best_step, color=COLOURS["ink"], linewidth=1.0, linestyle=(0, (4, 3)), gid="best-step")
    side = "right" if place > 0.85 else "left" if place < 0.15 else "center"
    axes.text(
        curve.best_step,
        1.03,
        words(curve.say("best_mark", step=curve.best_step)),
        ha=side,
        va="baseline",
        fontsize=10.5,
        color=COLOURS["ink"],
        transform=axes.get_xaxis_transform(),
    )


def _averaged(found: Series) -> tuple[list[float], list[float]]:
    """At most MAX_POINTS points: neighbours averaged, with a gap where any of them is one."""
    stride = math.ceil(len(found.steps) / MAX_POINTS)
    places = range(0, len(found.steps), stride)
    steps = [math.fsum(found.steps[i : i + stride]) / len(found.steps[i : i + stride]) for i in places]
    values = [math.fsum(found.values[i : i + stride]) / len(found.values[i : i + stride]) for i in places]
    return steps, values


def _alone(values: list[float]) -> list[int]:
    """The places of numbers between gaps, where a line alone would draw nothing."""
    padded = [math.nan, *values, math.nan]
    return [
        i
        for i, value in enumerate(values)
        if not math.isnan(value) and math.isnan(padded[i]) and math.isnan(padded[i + 2])
    ]


def _smoothed(values: list[float], window: int) -> list[float]:
    """The centred running mean; a gap stays a gap."""
    half = window // 2
    return [
        math.nan if math.isnan(value) else _mean(values[max(0, place - half) : place + half + 1])
        for place, value in enumerate(values)
    ]


def _mean(values: list[float]) -> float:
    finite = [value for value in values if not math.isnan(value)]
    return math.fsum(finite) / len(finite)
