"""How far each model's answers are from a target's style, and the words that tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from palate.report.comparison import Comparison, ModelStyle, Style, TellingWord
from palate.report.drawing import colour_of
from palate.report.evidence import MAX_ROWS, Grid, Plotted, left_out
from palate.report.phrases import Phrases
from palate.report.row_plots import Band, Mark, Row, RowPlot, Spread
from palate.report.wording import number, signed, visible, whole

__all__ = ["StyleView", "TellingView", "style_of"]

DISTANCE_COLUMNS = (
    "style_measure", "model", "style_distance", "style_floor", "style_floor_95", "style_p", "style_units",
)  # fmt: skip
MAX_WORDS = 12
"""Of each side: the rest stands in the table behind."""
MAX_TABLE_WORDS = 200
MAX_WORD_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class TellingView:
    """The words that one model says more, and less, often than the target; the most telling first."""

    model: str
    colour: str
    more: tuple[str, ...]
    less: tuple[str, ...]
    numbers: Grid


@dataclass(frozen=True, slots=True)
class StyleView:
    target: str | None
    sentence: str
    distances: Plotted | None
    telling: tuple[TellingView, ...]
    closer: tuple[str, ...]
    warnings: tuple[str, ...]


def style_of(comparison: Comparison, say: Phrases) -> StyleView | None:
    found = comparison.style
    if found is None:
        return None
    models = {name: found.models[name] for name in comparison.names if name in found.models}
    telling = [
        _telling(name, style, comparison, say) for name, style in models.items() if style.telling_words
    ]
    closer = () if found.sentence else _closer(found, say)
    distances = _distances(models, comparison, say)
    return StyleView(found.target, found.sentence, distances, tuple(telling), closer, found.warnings)


def _distances(models: Mapping[str, ModelStyle], comparison: Comparison, say: Phrases) -> Plotted | None:
    """A row a measure, in multiples of the target's own noise floor: measures differ in their units."""
    measured = list(dict.fromkeys(name for style in models.values() for name in style.distances))
    measures = measured[:MAX_ROWS]
    rows, cells, right = [], [], 1.5
    for measure in measures:
        marks: list[Mark | Spread] = []
        bounds = []
        for model, style in models.items():
            distance = style.distances.get(measure)
            if distance is None or distance.value is None or not distance.noise_floor:
                continue
            colour = colour_of(comparison.names.index(model))
            marks.append(Mark(distance.value / distance.noise_floor, None, colour))
            bounds.append((distance.noise_floor_95 or distance.noise_floor) / distance.noise_floor)
            figures = (distance.value, distance.noise_floor, distance.noise_floor_95, distance.permutation_p)
            name = say.named("style", measure)
            cells.append((name, model, *map(number, figures), whole(distance.num_units)))
        if not marks:
            continue
        right = max([right, *bounds, *(mark.value for mark in marks if isinstance(mark, Mark))])
        times = " → ".join(f"{number(mark.value, 2)}×" for mark in marks if isinstance(mark, Mark))
        rows.append(Row(say.named("style", measure), times, (tuple(marks),), Band(0.0, max(bounds))))
    if not rows:
        return None
    label = say("list_semicolon").join(f"{row.name} {row.figure}" for row in rows)
    plot = RowPlot(
        "style",
        say("labelled", name=say("style_title"), text=label),
        tuple(rows),
        (0.0, right * 1.05),
        (1.0, say("level_noise_floor")),
    )
    return Plotted(
        plot,
        Grid(tuple(say(column) for column in DISTANCE_COLUMNS), tuple(cells)),
        tuple(left_out(measured, say)),
    )


def _telling(name: str, style: ModelStyle, comparison: Comparison, say: Phrases) -> TellingView:
    words = [word for word in style.telling_words if word.log_odds is not None][:MAX_TABLE_WORDS]
    columns = ("telling_word", "telling_log_odds", "telling_z", "telling_own", "telling_target")
    return TellingView(
        name,
        colour_of(comparison.names.index(name)),
        tuple(_word(word) for word in words if (word.log_odds or 0) > 0)[:MAX_WORDS],
        tuple(_word(word) for word in words if (word.log_odds or 0) < 0)[:MAX_WORDS],
        Grid(
            tuple(say(column) for column in columns),
            tuple(
                (
                    _word(word),
                    signed(word.log_odds),
                    signed(word.z),
                    whole(word.count_first),
                    whole(word.count_second),
                )
                for word in words
            ),
        ),
    )


def _word(word: TellingWord) -> str:
    text = visible(word.feature)
    return text if len(text) <= MAX_WORD_CHARACTERS else f"{text[: MAX_WORD_CHARACTERS - 1]}…"


def _closer(style: Style, say: Phrases) -> tuple[str, ...]:
    """How surely the last model is at another distance than the first, of files that do not say it."""
    found = style.closer_p
    if found is None:
        return ()
    if not isinstance(found, Mapping):
        return (say("style_closer", figures=_p(found)),)
    named = [f"{say.named('style', measure)} {_p(p)}" for measure, p in found.items() if p is not None]
    return (say("style_closer", figures=say("list_comma").join(named)),) if named else ()


def _p(p: float | None) -> str:
    return number(p) if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
