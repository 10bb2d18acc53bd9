"""Curves: what is drawn, what is averaged, and the table behind it."""

from __future__ import annotations

import math
import re

import pytest

from palate.evaluate.diagnosis.curves import Metrics, MetricsRow, Series
from palate.report.curves import MAX_TABLE_ROWS, Curve, curves
from palate.report.plots import MAX_POINTS, _alone, _averaged, _smoothed, draw
from palate.report.svg import COLOURS, StyleSheet

NAN = math.nan


def metrics(values: list[float], key: str = "loss") -> Metrics:
    return Metrics(train=tuple(MetricsRow(step, {key: value}) for step, value in enumerate(values, start=1)))


def only(found: list[Curve]) -> Curve:
    (curve,) = found
    return curve


def test_only_what_was_measured_becomes_a_curve() -> None:
    found = curves(metrics([1.0, 0.5], key="kl"), best_step=None, objective=None)
    assert [curve.panel.name for curve in found] == ["kl"]
    assert curves(metrics([NAN, NAN], key="kl"), best_step=None, objective=None) == []


def test_ln_2_is_a_level_of_dpo_only() -> None:
    assert only(curves(metrics([0.7]), best_step=None, objective="dpo")).level == (
        math.log(2),
        "ln 2: no preference yet",
    )
    assert only(curves(metrics([0.7]), best_step=None, objective="ipo")).level is None


def test_the_table_holds_the_numbers_and_leaves_a_gap_empty() -> None:
    table = only(curves(metrics([0.69315, NAN, 0.5]), best_step=3, objective="dpo")).table
    assert table.columns == ("train loss",)
    assert table.rows == ((1, ("0.693",)), (2, ("–",)), (3, ("0.500",)))
    assert table.note == ""


def test_a_thinned_table_keeps_the_best_step_the_last_and_every_evaluation() -> None:
    train = tuple(MetricsRow(step, {"loss": 1.0}) for step in range(1, 1001))
    evaluation = tuple(MetricsRow(step, {"loss": 1.0}) for step in (333, 667))
    table = only(curves(Metrics(train, evaluation), best_step=431, objective=None)).table
    steps = {step for step, _ in table.rows}
    assert {333, 667, 431, 1000} <= steps
    assert len(steps) <= MAX_TABLE_ROWS + 4
    assert table.note == f"{len(steps)} of 1,000 steps; all of them are in metrics.jsonl."


def test_a_label_tells_the_curve_to_whoever_cannot_see_it() -> None:
    curve = only(curves(metrics([0.7, NAN, 0.25]), best_step=3, objective=None))
    assert curve.label == "Loss: train loss from 0.700 to 0.250; best step 3"


def test_averaging_keeps_the_mean_and_never_hides_a_gap() -> None:
    num = 2 * MAX_POINTS
    values = [float(i) for i in range(num)]
    values[5] = NAN
    steps, averaged = _averaged(Series(tuple(range(num)), tuple(values)))
    assert len(steps) == len(averaged) == MAX_POINTS
    assert (steps[0], averaged[0]) == (0.5, 0.5)
    assert [place for place, value in enumerate(averaged) if math.isnan(value)] == [2]


def test_smoothing_is_a_centred_mean_that_keeps_gaps() -> None:
    smoothed = _smoothed([0.0, 3.0, NAN, 5.0, 7.0], 3)
    assert (
        smoothed[0] == 1.5 and smoothed[1] == 1.5 and math.isnan(smoothed[2]) and smoothed[3:] == [6.0, 6.0]
    )


def test_a_number_between_gaps_gets_a_dot() -> None:
    assert _alone([1.0, NAN, 2.0, NAN, 3.0, 4.0]) == [0, 2]
    assert _alone([1.0]) == [0]


def test_a_gap_breaks_the_line() -> None:
    def moves(values: list[float]) -> int:
        drawing = draw(only(curves(metrics(values), best_step=None, objective=None)), StyleSheet())
        return sum(len(re.findall("M", path)) for path in re.findall(r'<path d="([^"]+)" clip-path', drawing))

    assert moves([1.0, 2.0, NAN, 2.0, 1.0]) == moves([1.0, 2.0, 1.5, 2.0, 1.0]) + 1


def test_a_drawing_holds_no_fixed_colour_and_no_style_of_its_own() -> None:
    styles = StyleSheet()
    drawing = draw(only(curves(metrics([0.7, 0.4]), best_step=2, objective="dpo")), styles)
    assert "style" not in drawing and not re.search(r"#[0-9a-f]{6}\b", drawing)
    assert not re.search(r"#[0-9a-f]{3,6}\b", styles.css)
    assert "var(--accent)" in styles.css and "var(--ink)" in styles.css


def test_every_colour_is_defined_for_light_dark_and_print() -> None:
    from importlib.resources import files

    css = (files("palate.report") / "report.css").read_text(encoding="utf-8")
    for name in COLOURS:
        assert len(re.findall(rf"--{name}: #", css)) == 3, name


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ("dpo", "moved from its reference"),
        ("kto", "moved from its reference"),
        (None, "moved from its reference"),
        ("orpo", "it has no reference"),
        ("sft", "it has no reference"),
        ("reward", "The score that the model gives"),
    ],
)
def test_rewards_are_explained_as_what_they_are(objective: str | None, said: str) -> None:
    found = curves(metrics([0.1, 0.2], key="rewards_margin"), best_step=None, objective=objective)
    assert said in only(found).explanation


def test_a_figure_that_no_axis_reaches_is_a_gap() -> None:
    curve = only(curves(metrics([0.7, 1e308, -1e308, 0.5]), best_step=None, objective="dpo"))
    assert "at 2 of 4 training steps" in curve.gaps[0]
    assert "<svg" in draw(curve, StyleSheet())
