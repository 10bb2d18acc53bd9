"""Agreement: by hand, against statsmodels and krippendorff over random tables, and by simulation."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Mapping

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats import inter_rater

from palate.statistics.agreement import cohens_kappa, fleiss_kappa, krippendorff_alpha

tables = st.integers(2, 4).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(0, 9), min_size=size, max_size=size), min_size=size, max_size=size
    )
)


def ratings_of(table: list[list[int]]) -> tuple[list[int], list[int]]:
    """Two raters whose labels make the table."""
    cells = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return [i for i, _ in cells], [j for _, j in cells]


# --- Cohen --------------------------------------------------------------------------------------------


def test_kappa_by_hand() -> None:
    """20 and 15 of 50 agree: 0.7. By chance 25/50 * 30/50 + 25/50 * 20/50 = 0.5. Kappa (0.7 - 0.5) / 0.5."""
    found = cohens_kappa(*ratings_of([[20, 5], [10, 15]]))
    assert (found.value, found.observed, found.num_items) == (pytest.approx(0.4), 0.7, 50)
    assert found.interval_95 is not None
    assert found.interval_95 == pytest.approx((0.15, 0.62), abs=0.03)


@settings(deadline=None)
@given(tables)
def test_kappa_is_that_of_statsmodels(table: list[list[int]]) -> None:
    first, second = ratings_of(table)
    assume(first)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = inter_rater.cohens_kappa(np.array(table), return_results=False)
    found = cohens_kappa(first, second, num_resamples=10)
    if np.isnan(expected):
        assert found.value is None
        assert found.reason
    else:
        assert found.value == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(tables, st.randoms(use_true_random=False))
def test_raters_change_places_and_labels_their_names(table: list[list[int]], rng: random.Random) -> None:
    first, second = ratings_of(table)
    here = cohens_kappa(first, second, num_resamples=10)
    there = cohens_kappa([f"label {i}" for i in second], [f"label {i}" for i in first], num_resamples=10)
    assert (here.value is None) == (there.value is None)
    if here.value is not None:
        assert there.value == pytest.approx(here.value)
        assert there.observed == pytest.approx(here.observed)


def test_an_item_that_one_did_not_rate_counts_for_nothing() -> None:
    with_gaps = cohens_kappa(["a", "b", None, "a", "b"], ["a", "a", "b", None, "b"])
    assert with_gaps == cohens_kappa(["a", "b", "b"], ["a", "a", "b"])


@pytest.mark.parametrize(
    ("first", "second", "num_items", "observed"),
    [([], [], 0, None), (["a"], [None], 0, None), (["a", "a"], ["a", "a"], 2, 1.0)],
)
def test_no_kappa_and_why(first, second, num_items, observed) -> None:
    found = cohens_kappa(first, second)
    assert (found.value, found.interval_95, found.num_items) == (None, None, num_items)
    assert found.observed == observed
    assert "label" in found.reason


def test_one_always_says_the_same() -> None:
    """Observed and expected agreement are both 0.5: a kappa of 0, not a division by 0."""
    assert cohens_kappa(["a", "a", "a", "a"], ["a", "b", "a", "b"]).value == 0


def test_rows_that_do_not_match() -> None:
    with pytest.raises(ValueError, match="every item"):
        cohens_kappa(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="every item"):
        cohens_kappa(["a"], ["a"], clusters=["x", "y"])
    with pytest.raises(ValueError, match="2 clusters"):
        fleiss_kappa([{"a": 2}], clusters=["x", "y"])


# --- the interval -------------------------------------------------------------------------------------


def test_agreement_in_all_of_twenty_is_no_certainty() -> None:
    labels = ["a", "b"] * 10
    found = cohens_kappa(labels, labels)
    assert found.value == 1
    assert found.interval_95 is not None
    assert 0.6 < found.interval_95[0] < 0.9
    assert found.interval_95[1] == 1


def test_one_prompt_gives_a_value_and_no_interval() -> None:
    found = cohens_kappa(["a", "b", "a"], ["a", "b", "b"], clusters=["x"] * 3)
    assert found.value is not None
    assert found.interval_95 is None
    assert "one prompt" in found.reason


def test_copies_of_an_item_say_nothing_new() -> None:
    """Each item four times under its prompt: the interval stays, where independent items would halve it."""
    rng = random.Random(3)
    first = [rng.choice("ab") for _ in range(60)]
    second = [label if rng.random() < 0.5 else rng.choice("ab") for label in first]
    once = cohens_kappa(first, second, clusters=range(60))
    copied = cohens_kappa(first * 4, second * 4, clusters=list(range(60)) * 4)
    independent = cohens_kappa(first * 4, second * 4)
    assert once.interval_95 is not None
    assert copied.interval_95 == pytest.approx(once.interval_95, abs=1e-9)
    assert independent.interval_95 is not None
    width, narrow = (np.diff(found)[0] for found in (once.interval_95, independent.interval_95))
    assert narrow == pytest.approx(width / 2, rel=0.1)


def hung_together(
    rng: np.random.Generator, num_prompts: int, accuracy: float, num_raters: int
) -> tuple[np.ndarray, list[int]]:
    """[raters, items] labels of 3 kinds, 4 items to a prompt, half of which are copies of the first."""
    shares = (0.6, 0.3, 0.1)
    truth = rng.choice(3, p=shares, size=(num_prompts, 4))
    guesses = rng.choice(3, p=shares, size=(num_raters, num_prompts, 4))
    labels = np.where(rng.random(guesses.shape) < accuracy, truth, guesses)
    copies = rng.random((num_prompts, 4)) < 0.5
    labels = np.where(copies, labels[:, :, :1], labels)
    return labels.reshape(num_raters, -1), np.repeat(np.arange(num_prompts), 4).tolist()


@pytest.mark.parametrize("accuracy", [0.3, 0.9])
@pytest.mark.parametrize("num_prompts", [10, 40])
def test_the_interval_covers(num_prompts: int, accuracy: float) -> None:
    """Of 100 intervals at least 88 hold the truth, for kappa and alpha; the plain bootstrap's do not."""
    rng = np.random.default_rng(7)
    # By the model, kappa and alpha are accuracy ** 2; copies do not change what is expected of an item.
    truth, held = accuracy**2, {"kappa": 0, "alpha": 0}
    for _ in range(100):
        labels, prompts = hung_together(rng, num_prompts, accuracy, 2)
        first, second = labels.tolist()
        kappa = cohens_kappa(first, second, clusters=prompts, num_resamples=500)
        by_rater = {"x": dict(enumerate(first)), "y": dict(enumerate(second))}
        alpha = krippendorff_alpha(by_rater, clusters=dict(enumerate(prompts)), num_resamples=500)
        for name, found in (("kappa", kappa), ("alpha", alpha)):
            assert found.interval_95 is not None
            held[name] += found.interval_95[0] <= truth <= found.interval_95[1]
    assert min(held.values()) >= 88, held


# --- Fleiss -------------------------------------------------------------------------------------------


def test_fleiss_by_hand() -> None:
    """Three raters, two items: 3:0 and 1:2. Pairs that agree: 3/3 and 1/3, mean 2/3.

    Labels: 4 of 6 and 2 of 6, so by chance 16/36 + 4/36 = 5/9. Kappa (6/9 - 5/9) / (4/9) = 1/4.
    """
    found = fleiss_kappa([{"a": 3}, {"a": 1, "b": 2}])
    assert (found.value, found.observed) == (pytest.approx(0.25), pytest.approx(2 / 3))


@settings(deadline=None)
@given(st.integers(2, 6), st.integers(2, 4), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_fleiss_is_that_of_statsmodels(num_raters: int, num_labels: int, num_items: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(num_raters, rng.dirichlet(np.ones(num_labels)), size=num_items)
    found = fleiss_kappa([dict(enumerate(row.tolist())) for row in counts], num_resamples=10)
    if (counts.sum(axis=0) > 0).sum() == 1:
        assert found.value is None
    else:
        assert found.value == pytest.approx(inter_rater.fleiss_kappa(counts), abs=1e-9)


@pytest.mark.parametrize(
    ("ratings", "why"),
    [
        ([], "no item has two"),
        ([{"a": 1}], "no item has two"),
        ([{"a": 2}, {"a": 3}], "Krippendorff"),
        ([{"a": 2}, {"a": 2}], "one label only"),
    ],
)
def test_no_fleiss_and_why(ratings: list[Mapping[str, int]], why: str) -> None:
    found = fleiss_kappa(ratings)
    assert (found.value, found.interval_95) == (None, None)
    assert why in found.reason


# --- Krippendorff -------------------------------------------------------------------------------------


def test_alpha_by_hand() -> None:
    """Two raters: aa, ab, bb, bb, and c by one alone, which pairs with nothing.

    8 labels, 3 a and 5 b. Observed disagreement 2 of 8 ordered pairs; expected 2 * 3 * 5 / (8 * 7) = 30/56.
    Alpha 1 - (2/8) / (30/56) = 1 - 14/30.
    """
    found = krippendorff_alpha(
        {"x": {1: "a", 2: "a", 3: "b", 4: "b", 5: "c"}, "y": {1: "a", 2: "b", 3: "b", 4: "b", 5: None}}
    )
    assert (found.value, found.num_items, found.observed) == (pytest.approx(1 - 14 / 30), 4, 0.75)


@settings(deadline=None)
@given(st.integers(2, 5), st.integers(2, 4), st.integers(1, 15), st.floats(0, 0.7), st.integers(0, 2**32 - 1))
def test_alpha_is_that_of_krippendorff(
    num_raters: int, num_labels: int, num_items: int, gaps: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_labels, size=(num_raters, num_items)).astype(float)
    labels[rng.random(labels.shape) < gaps] = np.nan
    found = krippendorff_alpha(
        {
            rater: {item: int(label) for item, label in enumerate(row) if not math.isnan(label)}
            for rater, row in enumerate(labels.tolist())
        },
        num_resamples=10,
    )
    paired = labels[:, (~np.isnan(labels)).sum(axis=0) > 1]
    if len(set(paired[~np.isnan(paired)].tolist())) < 2:
        assert found.value is None
        assert found.reason
    else:
        expected = krippendorff.alpha(labels, level_of_measurement="nominal")
        assert found.value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("ratings", "why"),
    [
        ({}, "no item has labels of two"),
        ({"x": {1: "a"}}, "no item has labels of two"),
        ({"x": {1: "a"}, "y": {2: "a"}}, "no item has labels of two"),
        ({"x": {1: "a"}, "y": {1: "a"}}, "one label only"),
    ],
)
def test_no_alpha_and_why(ratings, why) -> None:
    found = krippendorff_alpha(ratings)
    assert (found.value, found.interval_95) == (None, None)
    assert why in found.reason


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_raters_and_items_is_no_matter(seed: int) -> None:
    rng = random.Random(seed)
    ratings = {rater: {item: rng.choice("abc") for item in range(8) if rng.random() < 0.8} for rater in "xyz"}
    shuffled = {
        rater: dict(rng.sample(sorted(ratings[rater].items()), len(ratings[rater])))
        for rater in rng.sample("xyz", 3)
    }
    prompts = {item: item // 2 for item in range(8)}
    assert krippendorff_alpha(ratings, clusters=prompts, num_resamples=20) == krippendorff_alpha(
        shuffled, clusters=prompts, num_resamples=20
    )


def test_sixteen_raters_of_a_thousand_items() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=(16, 1000)).tolist()
    ratings = {rater: dict(enumerate(row)) for rater, row in enumerate(labels)}
    found = krippendorff_alpha(ratings, clusters={item: item // 5 for item in range(1000)})
    assert found.value == pytest.approx(0, abs=0.01)
    assert found.interval_95 is not None
    assert found.interval_95[0] < 0 < found.interval_95[1]


# --- repeats ------------------------------------------------------------------------------------------

_ALL = """
import json
from palate.statistics.agreement import cohens_kappa, krippendorff_alpha
from palate.statistics.bradley_terry import Outcome, rank
from palate.statistics.dawid_skene import pool

items = {f"item {n}" for n in range(40)}
label = lambda item, add: "abc"[(sum(map(ord, item)) * add) % 3]
ratings = {rater: {item: label(item, add) for item in items} for rater, add in {("x", 1), ("y", 5), ("z", 7)}}
order = sorted(items)
first, second = ([ratings[rater][item] for item in order] for rater in "xy")
ranking = rank([Outcome(ratings["x"][item], "d", len(set(item)) % 3 / 2, item[:6]) for item in items])
pooled = pool(ratings, classes=["a", "b", "c"])
print(json.dumps([
    cohens_kappa(first, second, clusters=[item[:6] for item in order]).interval_95,
    krippendorff_alpha(ratings, clusters={item: item[:6] for item in items}).interval_95,
    ranking.as_dict(), ranking.lead("a", "d").interval_95,
    [pooled.probabilities[item] for item in order], sorted(pooled.accuracy.items()),
]))
"""


def test_ten_runs_give_the_same_figures_whatever_the_hash_seed() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", _ALL],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in (0, 1, 2)
    }
    assert len(said) == 1
    assert None not in json.loads(said.pop())
    first, second = "aabbabbaab", "abbbabaabb"
    assert len({cohens_kappa(first, second, seed=4) for _ in range(10)}) == 1


def test_the_seed_is_the_bootstraps_alone() -> None:
    ratings = {"x": dict(enumerate("aabbab")), "y": dict(enumerate("abbbaa"))}
    one, other = krippendorff_alpha(ratings, seed=1), krippendorff_alpha(ratings, seed=2)
    assert one.value == other.value
    assert one.interval_95 != other.interval_95
