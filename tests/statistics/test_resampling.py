"""The bootstrap: its weights, its prompt beside, and what of it does not depend on order or parts."""

from __future__ import annotations

import numpy as np
import pytest

from palate.statistics import resampling
from palate.statistics.resampling import interval_around, places, resampled_sums


def all_of(sums, possible, **options):
    return np.concatenate(list(resampled_sums(np.array(sums, float), np.array(possible, float), **options)))


def test_weights_add_up_to_the_prompts_and_the_one_beside() -> None:
    """The figure of each prompt, and of the one beside, is 1: so every resample's is their number."""
    resampled = all_of([[1]] * 9, [[1]] * 3, seed=0, num_resamples=50)
    assert resampled.shape == (50, 1)
    assert resampled == pytest.approx(np.full((50, 1), 10))


def test_on_average_every_prompt_counts_as_one_and_those_beside_together_as_one() -> None:
    resampled = all_of(np.eye(4, 6), np.eye(6)[4:], seed=0, num_resamples=20_000)
    assert resampled.mean(axis=0) == pytest.approx([1, 1, 1, 1, 0.5, 0.5], abs=0.03)
    # Dirichlet(1, 1, 1, 1, 1/2, 1/2) times 5: 25 * (1/5 * 4/5) / 6 = 2/3 and 25 * (1/10 * 9/10) / 6 = 3/8.
    assert resampled.var(axis=0) == pytest.approx([2 / 3] * 4 + [3 / 8] * 2, abs=0.03)


def test_the_same_seed_gives_the_same_and_another_others() -> None:
    sums, possible = np.arange(12).reshape(6, 2), np.eye(2)
    one, again, other = (all_of(sums, possible, seed=seed, num_resamples=7) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).all()


def test_the_interval_of_a_mean_is_students() -> None:
    """For the mean of normal figures of n prompts it is, but for chance, t * s / sqrt(n)."""
    from scipy.stats import t

    rng = np.random.default_rng(0)
    figures = rng.normal(size=12)
    resampled = np.sort(rng.normal(scale=figures.std() / np.sqrt(12), size=400_000))
    low, high = interval_around(0.0, resampled, 12)
    half = t.ppf(0.975, 11) * figures.std(ddof=1) / np.sqrt(12)
    assert (low, high) == (pytest.approx(-half, rel=0.02), pytest.approx(half, rel=0.02))


def test_an_interval_holds_its_figure() -> None:
    assert interval_around(5.0, np.array([1.0, 2.0]), 9)[1] == 5
    assert interval_around(-5.0, np.array([1.0, 2.0]), 9)[0] == -5


def test_parts_are_but_a_matter_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "_NUM_WEIGHTS_AT_ONCE", 1)
    parts = list(resampled_sums(np.ones((5, 1)), np.ones((1, 1)), seed=0, num_resamples=4))
    assert [part.shape for part in parts] == [(1, 1)] * 4


def test_places_go_by_the_names_alone() -> None:
    assert places(["b", "a", 10, 9, "b"]) == {10: 0, 9: 1, "a": 2, "b": 3}
    assert list(places({"x", "y", "z"})) == ["x", "y", "z"]
