"""Strengths and rankings: by hand, against choix and statsmodels, without a maximum, and by simulation."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import choix
import numpy as np
import pytest
import statsmodels.api as sm
from choix.opt import PairwiseFcts
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from palate.statistics.bradley_terry import Fit, Outcome, fit, rank, wins_of


def connected(seed: int, num_players: int = 5, num_contests: int = 80) -> NDArray[np.float64]:
    """Random wins, and a circle of victories, so that a maximum exists."""
    rng = np.random.default_rng(seed)
    wins = np.zeros((num_players, num_players))
    for _ in range(num_contests):
        i, j = rng.choice(num_players, 2, replace=False)
        wins[i, j] += 1
    for i in range(num_players):
        wins[i, (i + 1) % num_players] += 1
    return wins


# --- the fit ------------------------------------------------------------------------------------------


def test_two_players_by_hand() -> None:
    """Three of four: odds of 3, so a difference of ln 3; information 4 * 3/4 * 1/4 = 3/4, error sqrt(4/3)."""
    found = fit(np.array([[0, 3], [1, 0]]), regularisation=0)
    assert found.strengths == pytest.approx([math.log(3) / 2, -math.log(3) / 2])
    assert found.probability(0, 1) == pytest.approx(0.75)
    assert found.uncertainty(0, 1) == pytest.approx(math.sqrt(4 / 3))
    assert found.uncertainty(0, 0) == 0
    # One more comparison tells ln(1 + 3/16 * 4/3) / 2 nats.
    assert found.gains() == pytest.approx(np.array([[0, math.log(1.25) / 2], [math.log(1.25) / 2, 0]]))
    assert found.has_maximum


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
def test_it_is_that_of_choix(seed: int, num_players: int) -> None:
    wins = connected(seed, num_players)
    data = [(i, j) for i, j in np.argwhere(wins) for _ in range(int(wins[i, j]))]
    expected = choix.ilsr_pairwise(num_players, data, max_iter=10_000, tol=1e-12)
    found = fit(wins, regularisation=0)
    assert found.strengths == pytest.approx(expected - expected.mean(), abs=1e-6)
    assert found.strengths.mean() == pytest.approx(0, abs=1e-12)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.floats(0, 3))
def test_the_ridge_is_that_of_choix(seed: int, num_players: int, ridge: float) -> None:
    """The penalty of choix is alpha times the sum of squares, ours regularisation / 2 times it.

    Its optimiser may stop some millionths short, so it is asked for the gradient, which is to be 0 here.
    """
    wins = np.round(connected(seed, num_players) / 3)
    data = [(i, j) for i, j in np.argwhere(wins) for _ in range(int(wins[i, j]))] or [(0, 1)]
    wins[0, 1] += not wins.any()
    found = fit(wins, regularisation=ridge + 0.01)
    gradient = PairwiseFcts(data, (ridge + 0.01) / 2).gradient(found.strengths)
    assert gradient == pytest.approx(np.zeros(num_players), abs=1e-8)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_strengths_and_errors_are_those_of_a_logistic_regression(seed: int) -> None:
    """A contest is a row with 1 for the one and -1 for the other; the last player's strength is held at 0."""
    wins = connected(seed, 4)
    rows, counts = [], []
    for i in range(4):
        for j in range(i):
            rows.append([(k == i) - (k == j) for k in range(3)])
            counts.append([wins[i, j], wins[j, i]])
    model = sm.GLM(np.array(counts), np.array(rows, dtype=float), family=sm.families.Binomial())
    expected = model.fit(tol=1e-14)
    found = fit(wins, regularisation=0)
    assert found.strengths[:3] - found.strengths[3] == pytest.approx(expected.params, abs=1e-6)
    errors = [found.uncertainty(i, 3) for i in range(3)]
    assert errors == pytest.approx(expected.bse, abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_tie_is_half_a_win_for_each(seed: int) -> None:
    wins = connected(seed, 4)
    tied = wins.copy()
    tied[0, 1] += 0.5
    tied[1, 0] += 0.5
    doubled = 2 * wins
    doubled[0, 1] += 1
    doubled[1, 0] += 1
    assert fit(tied, regularisation=0).strengths == pytest.approx(
        fit(doubled, regularisation=0).strengths, abs=1e-8
    )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_winner_of_more_is_stronger_and_the_start_is_no_matter(seed: int) -> None:
    wins = connected(seed)
    found = fit(wins)
    start = np.random.default_rng(seed).normal(size=5) * 5
    assert fit(wins, start=start).strengths == pytest.approx(found.strengths, abs=1e-7)
    more = wins.copy()
    more[2] += np.where(np.arange(5) == 2, 0, 3)
    assert fit(more).strengths[2] > found.strengths[2]
    # Who meets all equally often is ordered by wins alone.
    level = np.triu(np.random.default_rng(seed).integers(0, 10, size=(5, 5)), 1).astype(float)
    level += np.tril(10 - level.T, -1)
    assert (np.argsort(fit(level).strengths) == np.argsort(level.sum(axis=1), kind="stable")).all() or len(
        set(level.sum(axis=1))
    ) < 5


@pytest.mark.parametrize(
    ("wins", "has_maximum", "components"),
    [
        ([[0, 1], [0, 0]], False, [0, 0]),
        ([[0, 1, 0], [0, 0, 1], [1, 0, 0]], True, [0, 0, 0]),
        ([[0, 1, 1], [1, 0, 1], [0, 0, 0]], False, [0, 0, 0]),
        ([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], True, [0, 0, 1, 1]),
        ([[0, 0], [0, 0]], True, [0, 1]),
    ],
)
def test_whether_there_is_a_maximum(wins, has_maximum, components) -> None:
    found = fit(np.array(wins), regularisation=0)
    assert (found.has_maximum, found.components.tolist()) == (has_maximum, components)
    assert np.isfinite(found.strengths).all()
    assert np.isfinite(found.covariance).all()
    assert found.regularisation == (0 if has_maximum else 0.01)


def test_a_group_that_nothing_joins_is_infinitely_uncertain_without_a_ridge() -> None:
    wins = np.zeros((4, 4))
    wins[0, 1] = wins[1, 0] = wins[2, 3] = 3
    wins[3, 2] = 1
    without = fit(wins, regularisation=0)
    assert without.uncertainty(0, 2) == math.inf
    assert without.gains()[0, 2] == math.inf
    assert without.strengths == pytest.approx([0, 0, math.log(3) / 2, -math.log(3) / 2])
    with_one = fit(wins, regularisation=0.5)
    assert without.uncertainty(0, 1) < with_one.uncertainty(0, 2) < 2
    assert with_one.gains().max() == with_one.gains()[0, 2:].max()


def test_nobody_played() -> None:
    found = fit(np.zeros((3, 3)), regularisation=1)
    assert found.strengths.tolist() == [0, 0, 0]
    assert found.uncertainty(0, 1) == pytest.approx(math.sqrt(2))
    assert isinstance(fit(np.zeros((0, 0))), Fit)


def test_a_landslide_converges() -> None:
    """A million to one, far from the start: full steps would overshoot."""
    found = fit(np.array([[0, 1e6, 0], [1, 0, 1e6], [0, 1, 0]]), regularisation=0)
    assert found.strengths[0] - found.strengths[1] == pytest.approx(math.log(1e6))


@pytest.mark.parametrize(
    ("wins", "ridge"),
    [([[0, 1]], 0), ([[1.0]], 0), ([[0, -1], [0, 0]], 0), ([[0, math.nan], [0, 0]], 0), ([[0.0]], -1)],
)
def test_wrong_wins(wins, ridge) -> None:
    with pytest.raises(ValueError, match="wins"):
        fit(np.array(wins), regularisation=ridge)


# --- the ranking --------------------------------------------------------------------------------------

STRENGTHS = {"strong": 1.0, "fair": 0.2, "weak": -0.3, "poor": -0.9}


def contests(seed: int, num_prompts: int, per_prompt: int) -> list[Outcome]:
    """Contests by the model; a prompt's own taste moves all of its contests together."""
    rng = random.Random(seed)
    outcomes = []
    for prompt in range(num_prompts):
        here = {name: value + rng.gauss(0, 0.5) for name, value in STRENGTHS.items()}
        for _ in range(per_prompt):
            a, b = rng.sample(sorted(here), 2)
            wins = rng.random() < 1 / (1 + math.exp(here[b] - here[a]))
            outcomes.append(Outcome(a, b, float(wins), prompt))
    return outcomes


def test_a_ranking_by_hand() -> None:
    """x beats y three times of four: ln 3 apart, 400 log10(3) = 190.8 points of Elo around 1000."""
    found = rank(
        [Outcome("y", "x", 0), Outcome("x", "y", 1), Outcome("x", "y", 1), Outcome("y", "x", 1)],
        regularisation=0,
    )
    assert (found.names, found.num_contests, found.notes) == (("x", "y"), 4, ())
    assert found.strengths == pytest.approx((math.log(3) / 2, -math.log(3) / 2))
    assert found.elo[0] - found.elo[1] == pytest.approx(400 * math.log10(3))
    assert sum(found.elo) / 2 == pytest.approx(1000)
    # The error of half the difference.
    assert found.standard_errors == pytest.approx([math.sqrt(4 / 3) / 2] * 2)
    lead = found.lead("y", "x")
    assert (lead.value, lead.probability) == (pytest.approx(-math.log(3)), pytest.approx(0.25))


def test_strong_before_weak_and_intervals_that_hold_their_strengths() -> None:
    found = rank(contests(0, 200, 5))
    assert found.names == tuple(STRENGTHS)
    for strength, interval in zip(found.strengths, found.intervals_95, strict=True):
        assert interval is not None
        assert interval[0] <= strength <= interval[1]
    lead = found.lead("strong", "poor")
    assert lead.interval_95 is not None
    assert 0 < lead.interval_95[0] < lead.value < lead.interval_95[1]
    assert found.as_dict()["players"][0]["name"] == "strong"


@pytest.mark.parametrize(("num_prompts", "per_prompt"), [(12, 5), (60, 3)])
def test_intervals_cover(num_prompts: int, per_prompt: int) -> None:
    """Of the intervals of 60 samples at least 90% hold what 20,000 prompts say."""
    truth = dict(zip(*_names_and_strengths(contests(999, 20_000, 3)), strict=True))
    held = num = 0
    for seed in range(60):
        found = rank(contests(seed, num_prompts, per_prompt), num_resamples=300)
        for name, interval in zip(found.names, found.intervals_95, strict=True):
            if interval is not None:
                num += 1
                held += interval[0] <= truth[name] <= interval[1]
    assert held / num >= 0.9


def _names_and_strengths(outcomes: Sequence[Outcome]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    found = rank(outcomes, num_resamples=1)
    return found.names, found.strengths


def test_copies_within_a_prompt_say_nothing_new() -> None:
    outcomes = contests(1, 40, 3)
    once, copied = rank(outcomes, regularisation=0), rank(outcomes * 4, regularisation=0)
    assert copied.strengths == pytest.approx(once.strengths, abs=1e-7)
    for one, other in zip(once.intervals_95, copied.intervals_95, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    assert copied.standard_errors[0] == pytest.approx(once.standard_errors[0] / 2, abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_outcomes_and_sides_is_no_matter(seed: int) -> None:
    outcomes = contests(seed, 6, 3)
    shuffled = random.Random(seed).sample(outcomes, len(outcomes))
    assert rank(shuffled, num_resamples=5) == rank(outcomes, num_resamples=5)
    turned = [Outcome(one.b, one.a, 1 - one.score_of_a, one.prompt) for one in outcomes]
    assert rank(turned, num_resamples=5).strengths == pytest.approx(rank(outcomes, num_resamples=5).strengths)


def test_who_won_all_gets_a_finite_figure_and_a_note() -> None:
    outcomes = [Outcome("best", "a", 1, 1), Outcome("best", "b", 1, 2), Outcome("a", "b", 1, 3)]
    found = rank([*outcomes, Outcome("b", "a", 1, 4)])
    assert found.names[0] == "best"
    assert found.strengths[0] < 10
    (note,) = found.notes
    assert "best won all" in note
    assert "0.01" in note
    # Two victories are not proof: the interval of the lead holds 0.
    lead = found.lead("best", "a")
    assert lead.interval_95 is not None
    assert lead.interval_95[0] < 0


def test_groups_that_nothing_joins_are_named() -> None:
    found = rank([Outcome("a", "b", 0.5, 1), Outcome("c", "d", 0.5, 2), Outcome("d", "c", 0.5, 3)])
    assert any("a, b; c, d" in note for note in found.notes)
    assert any("No interval for a, b" in note for note in found.notes)
    assert dict(zip(found.names, found.intervals_95, strict=True))["a"] is None


def test_nothing_and_nonsense() -> None:
    assert rank([]).notes == ("nothing was compared",)
    with pytest.raises(ValueError, match="itself"):
        Outcome("a", "a", 1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Outcome("a", "b", 2)
    names, wins = wins_of([Outcome("b", "a", 0.5), Outcome("b", "a", 1)])
    assert (names, wins.tolist()) == (("a", "b"), [[0, 0.5], [1.5, 0]])
