"""How odds move: against statsmodels, by hand, where x tells all apart, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import t

from palate.statistics.logistic import fit, slope

Rows = tuple[NDArray[np.float64], NDArray[np.float64], list[int]]


def rows(seed: int, num: int = 60, num_prompts: int = 15, slope_per_unit: float = 0.1) -> Rows:
    """Soft labels that hang together by prompt: x in tens of characters, some ties, some shares."""
    rng = np.random.default_rng(seed)
    prompts = rng.integers(num_prompts, size=num)
    x = rng.normal(scale=10, size=num) + 4
    odds = slope_per_unit * x + rng.normal(size=num_prompts)[prompts]
    y = (rng.random(num) < 1 / (1 + np.exp(-odds))).astype(float)
    y[::7] = 0.5
    y[3::11] = rng.random(len(y[3::11]))
    return x, y, prompts.tolist()


def standardised(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return (x - x.mean()) / x.std()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_slope_and_clustered_error_are_those_of_statsmodels(seed: int) -> None:
    x, y, prompts = rows(seed)
    model = sm.GLM(y, sm.add_constant(standardised(x)), family=sm.families.Binomial())
    expected = model.fit(cov_type="cluster", cov_kwds={"groups": np.array(prompts)}, tol=1e-14, maxiter=200)
    found = slope(x, y, prompts)
    assert found.intercept == pytest.approx(expected.params[0], abs=1e-6)
    assert found.value == pytest.approx(expected.params[1], abs=1e-6)
    assert found.standard_error == pytest.approx(expected.bse[1], abs=1e-6)
    # Student's for the number of prompts, not the normal distribution.
    freedom = len(set(prompts)) - 1
    assert found.p == pytest.approx(2 * t.sf(abs(expected.params[1] / expected.bse[1]), freedom), abs=1e-6)
    half = t.ppf(0.975, freedom) * expected.bse[1]
    assert found.interval_95 == pytest.approx(
        (expected.params[1] - half, expected.params[1] + half), abs=1e-5
    )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_covariates_and_offset_are_those_of_statsmodels(seed: int) -> None:
    x, y, prompts = rows(seed)
    rng = np.random.default_rng(seed)
    beside, offset = rng.normal(size=(len(x), 2)) + 3, rng.normal(size=len(x))
    groups = {"groups": np.array(prompts)}
    design = np.column_stack([np.ones(len(x)), standardised(x), beside])
    expected = sm.GLM(y, design, family=sm.families.Binomial(), offset=offset).fit(
        cov_type="cluster", cov_kwds=groups, tol=1e-14, maxiter=200
    )
    found = fit(design, y, clusters=prompts, offset=offset)
    assert found.coefficients == pytest.approx(expected.params, abs=1e-6)
    assert found.covariance == pytest.approx(expected.cov_params(), abs=1e-6)
    without = sm.GLM(y, design, family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds=groups, tol=1e-14, maxiter=200
    )
    adjusted = slope(x, y, prompts, covariates=beside)
    assert adjusted.value == pytest.approx(without.params[1], abs=1e-6)
    assert adjusted.standard_error == pytest.approx(without.bse[1], abs=1e-6)


def test_by_hand() -> None:
    """x is -1 or 1; of 4 each, 1 and 3 won: log-odds -ln 3 and ln 3, so the slope is ln 3, the intercept 0.

    The sandwich: W = 3/16 in every row, so the information is 8 * 3/16 = 3/2. Residuals squared on each side:
    3 * (1/4)^2 + (3/4)^2 = 3/4, together 3/2; (3/2) / (3/2)^2 = 2/3, times 8/7 * 7/6 = 4/3: 8/9.
    """
    found = slope([-1] * 4 + [1] * 4, [1, 0, 0, 0, 1, 1, 1, 0])
    assert (found.value, found.intercept) == (pytest.approx(math.log(3)), pytest.approx(0, abs=1e-12))
    assert found.standard_error == pytest.approx(math.sqrt(8 / 9))
    assert (found.num_rows, found.num_clusters, found.standard_deviation) == (8, 8, 1)
    assert found.notes == ()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1000), st.floats(-1000, 1000))
def test_the_unit_of_x_is_no_matter_and_sides_mirror(seed: int, unit: float, shift: float) -> None:
    x, y, prompts = rows(seed)
    here, there = slope(x, y, prompts), slope(x * unit + shift, y, prompts)
    assert there.value == pytest.approx(here.value, rel=1e-6)
    assert there.p == pytest.approx(here.p, rel=1e-5)
    mirrored = slope(-x, 1 - y, prompts)
    assert mirrored.value == pytest.approx(here.value, rel=1e-6)
    assert mirrored.intercept == pytest.approx(-(here.intercept or 0), abs=1e-6)


def test_copies_within_a_prompt_say_nothing_new() -> None:
    x, y, _ = rows(1, num=80)
    once = slope(x, y, list(range(80)))
    copied = slope(np.tile(x, 4), np.tile(y, 4), list(range(80)) * 4)
    taken_for_new = slope(np.tile(x, 4), np.tile(y, 4))
    assert (copied.value, copied.num_clusters) == (pytest.approx(once.value), 80)
    assert copied.standard_error == pytest.approx(once.standard_error, rel=0.02)
    assert taken_for_new.standard_error is not None
    assert once.standard_error is not None
    assert taken_for_new.standard_error < 0.55 * once.standard_error


# --- where there is no maximum, or no slope ----------------------------------------------------------------


def test_the_longer_always_wins() -> None:
    x = np.array([-30, -20, -11, -8, -5, -2, 1, 4, 9, 12, 25, 33])
    found = slope(x, (x > 0).astype(float))
    assert found.value is not None
    assert found.interval_95 is not None
    assert found.p is not None
    assert 3 < found.value < 30
    assert 0 < found.interval_95[0] < found.value < found.interval_95[1] < 50
    assert found.p < 0.001
    assert "without a fault" in found.notes[0]
    against = slope(-x, (x > 0).astype(float))
    assert against.value == pytest.approx(-found.value)
    assert against.interval_95 == pytest.approx((-found.interval_95[1], -found.interval_95[0]))


def test_separated_by_hand() -> None:
    """x is -1 or 1 and decides: by symmetry the intercept is 0, and 8 / (1 + exp(b)) = b / 100 for the slope.

    Without a slope the log-likelihood is 8 ln 1/2; p is that of twice the difference, with one degree.
    """
    found = slope([-1] * 4 + [1] * 4, [0] * 4 + [1] * 4)
    assert found.value is not None
    b = found.value
    assert 8 / (1 + math.exp(b)) == pytest.approx(b / 100, rel=1e-6)
    top = -8 * math.log1p(math.exp(-b)) - b**2 / 200
    assert found.p == pytest.approx(math.erfc(math.sqrt(top - 8 * math.log(0.5))))
    assert found.interval_95 is not None
    for end in found.interval_95:
        here = -8 * math.log1p(math.exp(-end)) - end**2 / 200
        assert 2 * (top - here) == pytest.approx(3.841459, abs=1e-5)


def test_separated_far_from_the_middle() -> None:
    """One win among twenty, at the largest x: the intercept has no prior, so the residuals add up to 0."""
    x = np.arange(20.0)
    found = slope(x, (x == 19).astype(float))
    assert found.value is not None
    assert found.intercept is not None
    assert found.interval_95 is not None
    odds = found.intercept + found.value * standardised(x)
    p = 1 / (1 + np.exp(-odds))
    assert p.sum() == pytest.approx(1, abs=1e-4)
    assert found.interval_95[0] > 0


def test_separated_rows_of_few_prompts_prove_little() -> None:
    x, y = list(range(-20, 0)) + list(range(1, 21)), [0] * 20 + [1] * 20
    many, few = slope(x, y), slope(x, y, [0, 1] * 20)
    assert many.p is not None
    assert few.p is not None
    assert many.p < 1e-6 < 0.05 < few.p


@pytest.mark.parametrize(
    ("x", "y", "note"),
    [
        ([], [], "nothing to estimate"),
        ([1, 1, 1], [0, 1, 1], "the same in all rows"),
        ([1, 2, 3], [1, 1, 1], "Every outcome"),
        ([1, 2, 3], [0, 0, 0], "Every outcome"),
    ],
)
def test_no_slope_and_why(x, y, note) -> None:
    found = slope(x, y)
    assert (found.value, found.standard_error, found.interval_95, found.p) == (None, None, None, None)
    assert note in found.notes[0]


def test_a_covariate_that_says_the_same_as_x() -> None:
    x, y, prompts = rows(2)
    found = slope(x, y, prompts, covariates=3 * x[:, None] - 1)
    assert found.value is None
    assert "say the same" in found.notes[0]
    assert not fit(np.column_stack([x, x]), y).has_maximum
    assert not fit(np.zeros((60, 1)), y).has_maximum


def test_one_prompt_and_all_ties_have_a_slope_and_no_interval() -> None:
    found = slope([1, 2, 3], [0.5, 0.7, 0.2], ["x"] * 3)
    assert found.value is not None
    assert (found.standard_error, found.interval_95, found.p) == (None, None, None)
    assert "one prompt" in found.notes[0]
    ties = slope([1, 2, 3], [0.5, 0.5, 0.5])
    assert (ties.value, ties.interval_95) == (pytest.approx(0), None)


@pytest.mark.parametrize(
    ("x", "y", "clusters"),
    [
        ([1, 2], [0.5], None),
        ([1, 2], [0, 2], None),
        ([1, math.nan], [0, 1], None),
        ([1, 2], [0, 1], ["x"]),
    ],
)
def test_wrong_rows(x, y, clusters) -> None:
    with pytest.raises(ValueError, match=r"rows|finite"):
        slope(x, y, clusters)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(-3, 3), st.sampled_from([0, 0.5, 1]), st.integers(0, 3)), max_size=12))
def test_whatever_comes_it_is_finite_or_none(data: list[tuple[int, float, int]]) -> None:
    assume(data)
    x, y, prompts = zip(*data, strict=True)
    found = slope(x, y, prompts)
    for figure in (found.value, found.standard_error, found.p, *(found.interval_95 or ())):
        assert figure is None or math.isfinite(figure)
    if found.interval_95:
        assert found.value is not None
        assert found.interval_95[0] <= found.value <= found.interval_95[1]
    else:
        assert found.notes


# --- what it is for ---------------------------------------------------------------------------------------


def test_no_slope_is_claimed_of_labels_that_only_hang_together() -> None:
    """x and taste both go by prompt: of 200 samples 5% may claim a slope; taken for independent many do."""
    claims = {"by prompt": 0, "by row": 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        prompts = np.repeat(np.arange(25), 8)
        x = rng.normal(size=25)[prompts] + 0.3 * rng.normal(size=200)
        y = (rng.random(200) < 1 / (1 + np.exp(-4 * rng.normal(size=25)[prompts]))).astype(float)
        for name, clusters in (("by prompt", prompts.tolist()), ("by row", None)):
            p = slope(x, y, clusters).p
            assert p is not None
            claims[name] += p < 0.05
    assert claims["by prompt"] <= 20
    assert claims["by row"] >= 60
