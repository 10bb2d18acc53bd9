"""The win rate at equal lengths: against scipy's optimum, on planted data, and on published judgements."""

from __future__ import annotations

import csv
import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from palate.statistics.length_control import RIDGE, length_controlled_win_rate

ALPACA = Path(__file__).parents[3] / "shared" / "data" / "alpaca_eval"
TOLD_APART = ("FuseChat-Gemma-2-9B-Instruct", "FuseChat-Llama-3.2-3B-Instruct")


def planted(theta: float, phi: float, shift: float, num: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Wins with log-odds theta + phi * tanh(d / sd), the judged side `shift` deviations longer."""
    generator = np.random.default_rng(seed)
    d = generator.normal(shift, 1.0, num) * 300
    odds = theta + phi * np.tanh(d / d.std())
    return (generator.random(num) < 1 / (1 + np.exp(-odds))).astype(float), d


def test_it_is_the_mode_that_scipy_finds() -> None:
    y, d = planted(0.4, 0.9, 0.3, 400)
    x = np.tanh(d / d.std())

    def loss(at: np.ndarray) -> float:
        odds = at[0] + at[1] * x
        return float(np.logaddexp(0, odds).sum() - y @ odds + RIDGE * at[1] ** 2 / 2)

    best = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-9}).x
    found = length_controlled_win_rate(y, d)
    assert found.win_rate == pytest.approx(1 / (1 + math.exp(-best[0])), abs=1e-5)
    assert found.length_coefficient == pytest.approx(best[1], abs=1e-4)


def test_length_alone_wins_nothing() -> None:
    """Equal quality, and the longer one is preferred: the raw win rate is far from half, this one is not."""
    y, d = planted(0.0, 1.5, 0.45, 4000)
    found = length_controlled_win_rate(y, d)
    assert y.mean() > 0.57
    assert found.win_rate is not None
    assert abs(found.win_rate - 0.5) < 0.03
    assert not found.warnings


def test_turning_the_sides_round_turns_the_figure_round() -> None:
    y, d = planted(0.3, 0.8, 0.2, 300)
    one, other = length_controlled_win_rate(y, d), length_controlled_win_rate(1 - y, -d)
    assert one.win_rate is not None
    assert other.win_rate == pytest.approx(1 - one.win_rate)
    assert other.mean_shift == pytest.approx(-one.mean_shift)
    assert one.interval_95 is not None
    assert other.interval_95 == pytest.approx((1 - one.interval_95[1], 1 - one.interval_95[0]))


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """300 times over 150 comparisons with a weak effect of length: 95% +- 4 times 1.3 points."""
    truth, held = 1 / (1 + math.exp(-0.3)), 0
    for seed in range(300):
        y, d = planted(0.3, 0.2, 0.1, 150, seed)
        low, high = length_controlled_win_rate(y, d).interval_95 or (0.0, 0.0)
        held += low <= truth <= high
    assert 0.90 <= held / 300 <= 0.99


def test_what_cannot_be_told_apart_is_said() -> None:
    y, d = planted(-1.0, 0.8, -1.5, 500)
    found = length_controlled_win_rate(y, d)
    assert found.mean_shift < -1
    assert "shorter in 9" in found.warnings[0]
    same = length_controlled_win_rate([1.0, 0.0, 1.0], [50.0, 50.0, 50.0])
    assert same.win_rate is None
    assert "cannot be told from quality" in same.warnings[0]


def test_where_length_decides_everything_the_figure_is_not_left_alone() -> None:
    """To a judge that takes the longer answer both are equal at equal lengths: the prior hides that."""
    _, d = planted(0.0, 1.0, 0.0, 60)
    y = (d > 0).astype(float)
    for scores, which in ((y, "longer"), (1 - y, "shorter")):
        (said,) = length_controlled_win_rate(scores, d).warnings
        assert said.startswith(f"60 of 60 decided comparisons went to the {which} answer")
    y[:3] = 1 - y[:3]
    assert length_controlled_win_rate(y, d).warnings[0].startswith("57 of 60 decided")
    y[3] = 1 - y[3]
    assert not length_controlled_win_rate(y, d).warnings
    few = length_controlled_win_rate([1.0, 0.0] * 4 + [1.0, 0.5], [9.0, -9.0] * 4 + [5.0, 4.0])
    assert not few.warnings, "nine decided comparisons may all go one way by chance"


def test_equal_lengths_leave_the_win_rate() -> None:
    found = length_controlled_win_rate([1.0, 0.0, 1.0, 0.5], [0.0] * 4)
    assert found.win_rate == 0.625
    assert not found.warnings


def test_who_won_everything_has_finite_odds() -> None:
    found = length_controlled_win_rate([1.0] * 20, list(range(-10, 10)))
    assert found.win_rate is not None
    assert 0.95 < found.win_rate <= 1


def test_difficulty_is_taken_into_account() -> None:
    generator = np.random.default_rng(1)
    hard = generator.normal(size=3000)
    d = generator.normal(size=3000) * 100
    odds = 0.5 + 0.5 * np.tanh(d / d.std()) + 2.0 * hard
    y = (generator.random(3000) < 1 / (1 + np.exp(-odds))).astype(float)
    found = length_controlled_win_rate(y, d, difficulty=hard)
    at_equal = (1 / (1 + np.exp(-(0.5 + 2.0 * hard)))).mean()
    assert found.win_rate == pytest.approx(at_equal, abs=0.02)
    assert found.length_coefficient == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(("scores", "differences"), [([0.5], [1.0, 2.0]), ([1.5, 0.0], [1.0, 2.0])])
def test_rows_that_make_no_sense(scores: list[float], differences: list[float]) -> None:
    with pytest.raises(ValueError, match="have to be of the same rows"):
        length_controlled_win_rate(scores, differences)


@pytest.mark.skipif(not ALPACA.is_dir(), reason="AlpacaEval's judgements are not beside the project")
def test_published_figures_where_length_and_quality_can_be_told_apart() -> None:
    """Within 1.5 points of the leaderboard on these, and a warning on all others."""
    with (ALPACA / "expected.csv").open(encoding="utf-8") as file:
        published = {row["model"]: float(row["length_controlled_winrate"]) for row in csv.DictReader(file)}
    assert len(published) == 8
    for model, expected in published.items():
        with gzip.open(ALPACA / f"{model}.annotations.json.gz", "rt", encoding="utf-8") as file:
            rows = json.load(file)
        scores = [row["preference"] - 1 for row in rows]
        found = length_controlled_win_rate(scores, [row["chars_2"] - row["chars_1"] for row in rows])
        assert found.win_rate is not None
        assert bool(found.warnings) == (model not in TOLD_APART), model
        if model in TOLD_APART:
            assert abs(100 * found.win_rate - expected) < 1.5, model


def test_equally_long_answers_are_not_counted_as_shorter() -> None:
    """Of six, three are shorter and three as long: shorter in 50%, not in all that are not longer."""
    scores, differences = [0, 1, 1, 1, 0, 0], [-4, 0, 0, 0, -6, -8]
    (said,) = length_controlled_win_rate(scores, differences).warnings
    assert said.startswith("The judged side is shorter in 50% of the comparisons")
    (said,) = length_controlled_win_rate(scores, [-one for one in differences]).warnings
    assert said.startswith("The judged side is longer in 50% of the comparisons")
