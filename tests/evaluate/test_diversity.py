"""Distinct n-grams and self-BLEU, against figures worked out by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest

from palate.evaluate.fears.diversity import DIVERSITY_MEASURES, compare_diversity


def values(*answers: str) -> dict[str, float]:
    """Of one model with one answer to each prompt."""
    found = compare_diversity({"one": [[answer] for answer in answers]})["one"]
    return {name: found[name].value for name in DIVERSITY_MEASURES}


def test_distinct_by_hand() -> None:
    """a b a c / a b d: 4 words of 7, bigrams ab ba ac bd of ab ba ac ab bd, trigrams aba bac abd of 3."""
    found = values("a b a c", "a b d")
    assert found["distinct_1"] == pytest.approx(4 / 7)
    assert found["distinct_2"] == pytest.approx(4 / 5)
    assert found["distinct_3"] == pytest.approx(3 / 3)


def test_self_bleu_by_hand() -> None:
    """a b c d with a b x y: 2 of 4 words, 1 of 3 pairs, none of 2 and of 1; above words one is added.

    (2/4 * 2/4 * 1/3 * 1/2) ** (1/4), the same from both sides.
    """
    assert values("a b c d", "a b x y")["self_bleu"] == pytest.approx((1 / 24) ** 0.25)


def test_a_word_counts_as_often_as_another_text_has_it() -> None:
    """a a a with a: one word of three, then nothing: (1/3 * 1/3 * 1/2)^(1/3); and a with a a a: 1."""
    assert values("a a a", "a")["self_bleu"] == pytest.approx(((1 / 18) ** (1 / 3) + 1) / 2)


def test_the_same_said_always_is_one_and_nothing_shared_is_nought() -> None:
    assert values("a b c d e", "a b c d e")["self_bleu"] == pytest.approx(1)
    assert values("a b c d", "e f g h")["self_bleu"] == 0
    assert values("A b", "a B")["distinct_1"] == pytest.approx(1 / 2), "case is none of it"


def test_nothing_said_repeats_nothing() -> None:
    assert values("", "") == {"distinct_1": 1, "distinct_2": 1, "distinct_3": 1, "self_bleu": 0}


def test_only_equally_long_beginnings_are_compared() -> None:
    short = [["a b c"], ["d e f"]]
    longer = [["a b c a b c a b c"], ["d e f d e f"]]
    found = compare_diversity({"short": short, "long": longer})
    for name in DIVERSITY_MEASURES:
        assert found["short"][name].value == found["long"][name].value
        assert found["long"][name].permutation_p == 1
        assert found["short"][name].permutation_p is None


def texts(words: int, prompts: int, seed: int, samples: int = 1) -> list[list[str]]:
    """Of so many words, the n-th of them drawn 1/n as often as the first."""
    draw = random.Random(seed)
    names = ["".join("abcdefghij"[int(digit)] for digit in str(number)) for number in range(words)]
    shares = [1 / (1 + number) for number in range(words)]
    return [[" ".join(draw.choices(names, shares, k=12)) for _ in range(samples)] for _ in range(prompts)]


def test_a_poorer_vocabulary_is_found() -> None:
    found = compare_diversity({"rich": texts(800, 40, 1), "poor": texts(60, 40, 2)})
    for name in DIVERSITY_MEASURES[:2]:
        assert found["poor"][name].value < found["rich"][name].value
        assert found["poor"][name].permutation_p == pytest.approx(1 / 401)
        assert found["poor"][name].interval_95[1] < found["rich"][name].interval_95[0]
    assert found["poor"]["self_bleu"].permutation_p == pytest.approx(1 / 401)


@pytest.mark.parametrize("samples", [1, 3])
def test_the_same_writer_is_rarely_told_from_itself(samples: int) -> None:
    """p-values of twelve pairs of equal writers: about one of them under 0.05, hardly ever four."""
    pairs = [
        {"a": texts(400, 12, 2 * n, samples), "b": texts(400, 12, 2 * n + 1, samples)} for n in range(12)
    ]
    found = [compare_diversity(pair)["b"] for pair in pairs]
    for name in ("distinct_1", "self_bleu"):
        p = np.array([one[name].permutation_p for one in found])
        assert (p < 0.05).sum() < 4 and 0.2 < p.mean() < 0.8, name


def test_many_prompts_are_sampled_and_few_have_no_interval() -> None:
    many = compare_diversity({"a": texts(50, 205, 0)})["a"]["distinct_1"]
    assert many.num_prompts == 200 and many.interval_95 is not None
    assert compare_diversity({"a": texts(50, 2, 0)})["a"]["distinct_1"].interval_95 is None


def test_the_jackknife_knows_the_spread_over_prompts() -> None:
    """Its standard error is near the spread of the figure over fresh sets of prompts."""
    fresh = [compare_diversity({"a": texts(400, 40, n)})["a"] for n in range(30)]
    for name in ("distinct_1", "self_bleu"):
        spread = np.std([one[name].value for one in fresh])
        halves = [(one[name].interval_95[1] - one[name].interval_95[0]) / 2 for one in fresh]
        assert 0.7 < np.mean(halves) / 2.09 / spread < 2, name
