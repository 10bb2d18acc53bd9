"""What every plot is drawn with: thin axes, colours of the page, and words that Matplotlib never sees."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from unicodedata import east_asian_width

from markupsafe import Markup

from palate.report.svg import COLOURS, StyleSheet, embed
from palate.report.wording import visible

__all__ = ["MODEL_COLOURS", "Words", "colour_of", "draw_figure", "text_at"]

MODEL_COLOURS = ("contrast", "accent", "third", "fourth")
"""The baseline's first; the same in every plot and beside every name."""
MAX_LABEL_COLUMNS = 46
"""Of a label: a letter takes one, a Chinese character two."""

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "palate",
    "font.size": 11,
    "text.parse_math": False,
    "text.color": COLOURS["muted"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.edgecolor": COLOURS["grid"],
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.unicode_minus": True,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.8,
    "xtick.color": COLOURS["grid"],
    "ytick.color": COLOURS["grid"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "xtick.major.size": 4,
    "ytick.major.size": 0,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    "path.simplify": True,
}


class Words:
    """Texts of one drawing. Matplotlib gets a stand-in for each, and the page the text.

    So no name of a model is read by Matplotlib, and no letter that its fonts lack is missed.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        stand_in = f"¤{len(self.texts)}¤"
        self.texts[stand_in] = _shortened(" ".join(visible(text).split()))
        return stand_in


def _shortened(text: str) -> str:
    columns = 0
    for place, character in enumerate(text):
        columns += 2 if east_asian_width(character) in "WF" else 1
        if columns > MAX_LABEL_COLUMNS:
            return f"{text[: place - 1]}…"
    return text


def colour_of(model: int) -> str:
    """The name of the colour of a model, by its place; those after the fourth share one."""
    return MODEL_COLOURS[model] if model < len(MODEL_COLOURS) else "muted"


def draw_figure(
    paint: Callable[[Any, Words], None],
    *,
    size_inches: tuple[float, float],
    name: str,
    label: str,
    styles: StyleSheet,
) -> Markup:
    """What `paint` draws into a figure, as an inline SVG element; the same bytes for the same numbers.

    Args:
        paint: gets the figure, and the `Words` through which all text goes.
        size_inches: width and height; on the page it is as wide as its place, and the text grows with it.
        name: prefixes the drawing's ids.
        label: what a screen reader says.
        styles: of the page.
    """
    # Slow to import, and no table or terminal needs them.
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    words = Words()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size_inches)
        FigureCanvasSVG(figure)
        paint(figure, words)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return embed(text.getvalue(), name=name, label=visible(label), styles=styles, texts=words.texts)


def text_at(axes: Any, place: float, height: float, text: str, **look: Any) -> None:
    """A text at a share of the axes' width and a height in data coordinates, standing on its baseline."""
    look = {"fontsize": 11, "va": "baseline", "color": COLOURS["ink"]} | look
    axes.text(place, height, text, transform=axes.get_yaxis_transform(), **look)
