"""Raters weighed by how well they do: a round by hand, planted raters, and orders that are no matter."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.statistics.dawid_skene import Pooled, pool

Labels = dict[str, dict[int, Hashable]]


def planted(
    accuracies: Mapping[str, float], num_items: int, seed: int, *, present: float = 1.0, classes: str = "ab"
) -> tuple[Labels, dict[int, str]]:
    """Raters that are right so often, and else say one of the other classes."""
    rng = random.Random(seed)
    truth = {item: rng.choice(classes) for item in range(num_items)}
    labels: Labels = {rater: {} for rater in accuracies}
    for rater, accuracy in accuracies.items():
        for item, right in truth.items():
            said = right if rng.random() < accuracy else rng.choice(classes.replace(right, ""))
            if rng.random() < present:
                labels[rater][item] = said
    return labels, truth


def share_right(best: Mapping[Hashable, Hashable], truth: Mapping[int, str]) -> float:
    return sum(best.get(item) == right for item, right in truth.items()) / len(truth)


def test_one_round_by_hand() -> None:
    """x: a b; y: a b; z: a a. Without smoothing.

    Start: item 1 is a; item 2 is a by 1/3, b by 2/3. Shares: a 2/3, b 1/3. x where a is the truth: a by
    1 / (1 + 1/3) = 3/4; where b is: b always. The same for y. z says a always.
    Item 2 then: a 2/3 * 1/4 * 1/4 * 1 = 1/24, b 1/3 * 1 * 1 * 1 = 1/3: b by 8/9. Item 1: b is impossible.
    """
    labels = {"x": {1: "a", 2: "b"}, "y": {1: "a", 2: "b"}, "z": {1: "a", 2: "a"}}
    found = pool(labels, classes=["a", "b"], smoothing=0, max_steps=1)
    assert found.probabilities[1] == pytest.approx({"a": 1, "b": 0})
    assert found.probabilities[2] == pytest.approx({"a": 1 / 9, "b": 8 / 9})
    assert found.best == {1: "a", 2: "b"}
    # Right are, for x: item 1 surely, item 2 by 8/9; for z: item 1, and item 2 by 1/9.
    assert found.accuracy == pytest.approx({"x": 17 / 18, "y": 17 / 18, "z": 5 / 9})
    # After the round, a's share is 10/9 of 2; x, where a is the truth, said b in 1/9 of 10/9.
    assert found.shares == pytest.approx({"a": 5 / 9, "b": 4 / 9})
    assert found.confusion["x"]["a"] == pytest.approx({"a": 0.9, "b": 0.1})
    assert found.confusion["z"]["b"] == pytest.approx({"a": 1, "b": 0})
    assert "not settled" in found.notes[0]


def test_smoothing_by_hand() -> None:
    """The first round above, with 1 added to each cell and 2 on the diagonal.

    Where a is the truth there are 4/3 + 3 = 13/3 labels: x said b in 1/3 + 1, z a in 4/3 + 2. Where b is,
    2/3 + 3 = 11/3: x said b in 2/3 + 2, z a in 2/3 + 1. y is x.
    """
    labels = {"x": {1: "a", 2: "b"}, "y": {1: "a", 2: "b"}, "z": {1: "a", 2: "a"}}
    found = pool(labels, classes=["a", "b"], smoothing=1, max_steps=1)
    a = 2 / 3 * (4 / 13) ** 2 * (10 / 13)
    b = 1 / 3 * (8 / 11) ** 2 * (5 / 11)
    assert found.probabilities[2]["a"] == pytest.approx(a / (a + b))


@pytest.mark.parametrize("present", [1.0, 0.6])
def test_planted_accuracies_come_back(present: float) -> None:
    accuracies = {"good": 0.95, "fair": 0.8, "weak": 0.65, "coin": 0.5, "contrary": 0.2}
    labels, truth = planted(accuracies, 2_000, seed=1, present=present)
    found = pool(labels, classes=["a", "b"])
    for rater, accuracy in accuracies.items():
        assert found.accuracy[rater] == pytest.approx(accuracy, abs=0.04)
        assert found.confusion[rater]["a"]["a"] == pytest.approx(accuracy, abs=0.06)
    assert share_right(found.best, truth) > (0.95 if present == 1 else 0.85)


def test_one_good_rater_among_bad_ones_is_believed() -> None:
    labels, truth = planted({"good": 0.95, **{f"bad {n}": 0.55 for n in range(4)}}, 600, seed=2)
    majority = {
        item: Counter(given[item] for given in labels.values()).most_common(1)[0][0] for item in truth
    }
    found = pool(labels, classes=["a", "b"])
    assert share_right(found.best, truth) > share_right(majority, truth) + 0.1
    assert found.accuracy["good"] == max(value for value in found.accuracy.values() if value is not None)


def test_a_tie_is_a_class_like_any_other() -> None:
    labels, truth = planted({"x": 0.9, "y": 0.9, "z": 0.8}, 400, seed=3, classes="ab=")
    found = pool(labels, classes=["a", "b", "="])
    assert share_right(found.best, truth) > 0.9
    assert set(found.best.values()) == {"a", "b", "="}


def test_level_is_nobodys() -> None:
    """Two raters who disagree in mirror images: nothing tells them apart."""
    found = pool({"x": {1: "a", 2: "b"}, "y": {1: "b", 2: "a"}}, classes=["a", "b"])
    assert found.best == {1: None, 2: None}
    assert found.accuracy == {"x": 0.5, "y": 0.5}


def test_two_raters_are_warned_of_and_three_not() -> None:
    labels, _ = planted({"x": 0.9, "y": 0.9, "z": 0.9}, 50, seed=4)
    assert pool(labels, classes=["a", "b"]).notes == ()
    del labels["z"]
    (note,) = pool(labels, classes=["a", "b"]).notes
    assert "Two raters" in note
    (note,) = pool({**labels, "y": {}, "z": {1: None}}, classes=["a", "b"]).notes
    assert "One rater" in note


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_raters_items_and_classes_is_no_matter(seed: int) -> None:
    rng = random.Random(seed)
    labels, _ = planted({"x": 0.9, "y": 0.7, "z": 0.4}, 12, seed, present=0.8)
    shuffled = {
        rater: dict(rng.sample(sorted(labels[rater].items()), len(labels[rater])))
        for rater in rng.sample(sorted(labels), 3)
    }
    here, there = pool(labels, classes=["a", "b"]), pool(shuffled, classes=["a", "b"])
    assert here == there
    turned = pool(labels, classes=["b", "a"])
    for item, probabilities in here.probabilities.items():
        assert turned.probabilities[item] == pytest.approx(probabilities, abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 2))
def test_it_is_always_a_distribution(seed: int, smoothing: float) -> None:
    rng = np.random.default_rng(seed)
    raters, items = rng.integers(1, 5), rng.integers(1, 10)
    labels = {
        f"r{rater}": {item: "abc"[rng.integers(3)] for item in range(items) if rng.random() < 0.7}
        for rater in range(raters)
    }
    found = pool(labels, classes=["a", "b", "c"], smoothing=smoothing)
    for probabilities in found.probabilities.values():
        assert sum(probabilities.values()) == pytest.approx(1)
        assert all(0 <= p <= 1 for p in probabilities.values())
    assert set(found.accuracy) == set(labels)
    assert [rater for rater in labels if found.accuracy[rater] is None] == [
        r for r in labels if not labels[r]
    ]


def test_many_raters_do_not_underflow() -> None:
    """0.5 to the power of 2,000 is 0 in a float; as logarithms it is not."""
    labels, truth = planted({f"r{n}": 0.6 for n in range(2_000)}, 20, seed=5)
    found = pool(labels, classes=["a", "b"])
    assert share_right(found.best, truth) == 1


def test_nothing_labelled() -> None:
    found = pool({"x": {}, "y": {1: None}}, classes=["a", "b"])
    assert isinstance(found, Pooled)
    assert (found.best, found.accuracy) == ({}, {"x": None, "y": None})
    assert found.notes == ("nothing was labelled",)


def test_wrong_calls() -> None:
    with pytest.raises(ValueError, match="'c' is none of the classes: 'a', 'b'"):
        pool({"x": {1: "c"}}, classes=["a", "b"])
    with pytest.raises(ValueError, match="two classes or more"):
        pool({"x": {1: "a"}}, classes=["a"])
    with pytest.raises(ValueError, match="two classes or more"):
        pool({"x": {1: "a"}}, classes=["a", "a"])
