"""Position, length and excess, by hand."""

from __future__ import annotations

import math

import pytest
from made_verdicts import both_orders, comparison, given, vote

from palate.judge.bias import excess_of, length_figures, position_figures
from palate.judge.sides import pool_votes


def many(num: int) -> list:
    return [comparison(f"yes {n}" + " more" * (n % 5), f"no {n}", f"Why {n}?") for n in range(num)]


class TestPosition:
    def test_by_hand(self) -> None:
        """Agreed, agreed, flipped to first, flipped to second, half flipped, one look missing.

        Flips 2 of 5. Looks 11: first in 1 + 1 + 2 + 0 + 1 + 1 = 6, second in 1 + 1 + 0 + 2 = 4, a tie.
        """
        one, two, three, four, five, six = many(6)
        found = position_figures(
            [
                both_orders(one, "a", "a"),
                both_orders(two, "b", "b"),
                both_orders(three, "a", "b"),
                both_orders(four, "b", "a"),
                both_orders(five, "a", "tie"),
                both_orders(six, "a", None),
            ]
        )
        assert (found.num_flips, found.flips.num, found.flips.value) == (2, 5, 0.4)
        assert (found.num_flips_to_first, found.num_half_flips) == (1, 1)
        assert (found.num_first, found.num_second, found.num_ties) == (6, 4, 1)
        assert found.first.value == pytest.approx(6.5 / 11)

    def test_why_there_is_none(self) -> None:
        one = comparison("yes", "no")
        assert "sees no order" in position_figures([given(one, "a")]).why_none
        assert "nothing was judged" in position_figures([]).why_none
        assert "no look" in position_figures([both_orders(one, None, None)]).why_none
        assert "both orders" in position_figures([both_orders(one, "a", None)]).why_none
        assert position_figures([both_orders(one, "a", "a")]).why_none == ""


class TestLength:
    def test_share_by_hand(self) -> None:
        """Longer wins, longer loses, a tie; equal lengths say nothing: (1 + 0.5) / 3."""
        found = length_figures(
            [
                given(comparison("longer", "no", "1"), "a"),
                given(comparison("no", "longer", "2"), "a"),
                given(comparison("no", "longer", "3"), "tie"),
                given(comparison("as", "so", "4"), "a"),
                given(comparison("as", "longer", "5"), None),
            ],
            {},
            "votes",
        )
        assert (found.longer.value, found.longer.num) == (0.5, 3)
        assert found.excess is None
        assert found.others_slope is None

    def test_two_differences_by_hand(self) -> None:
        """Sides by generator, so x = +2 and -2 of the first by name, one deviation each way.

        At x = +1 it wins 3 of 4, at -1 1 of 4: log-odds ln 3 and -ln 3, so the slope is ln 3.
        """
        models = ("alpha", "beta")
        verdicts = [
            given(comparison("xxxx", "yy", f"long {n}", models), "a" if n < 3 else "b") for n in range(4)
        ] + [given(comparison("xx", "yyyy", f"short {n}", models), "a" if n < 1 else "b") for n in range(4)]
        found = length_figures(verdicts, {}, "votes")
        assert found.slope == pytest.approx(math.log(3), abs=1e-6)
        assert found.standard_deviation == pytest.approx(2)

    def test_one_model_always_longer_and_always_better_still_has_a_slope(self) -> None:
        """By generator every outcome is the same; by content it is not."""
        verdicts = [given(comparison("x" * (10 + n), "y", f"{n}", ("alpha", "beta")), "a") for n in range(12)]
        slope = length_figures(verdicts, {}, "votes").slope
        assert slope is not None
        assert slope > 0

    def test_a_preference_between_two_identical_answers_says_nothing(self) -> None:
        """Found by swapping sides: whichever of the two is called `a` moved the slope."""
        real = [given(comparison("x" * (n + 2), "y", f"{n}"), "ab"[n % 2]) for n in range(6)]
        same = comparison("same", "same", "twice")
        slopes = {length_figures([*real, *more], {}, "votes").slope for more in ([], [given(same, "a")])}
        assert len(slopes) == 1

    def test_every_answer_of_one_length(self) -> None:
        found = length_figures([given(comparison("as", "so", f"{n}"), "a") for n in range(5)], {}, "votes")
        assert found.slope is None
        assert found.longer.value is None
        assert found.notes


def test_excess_by_hand() -> None:
    """Leaning to a: judge a, a, tie, b; people b, a, b, b (of one they say nothing).

    Judge further in 2 (first, third), less far in 0, as far in 2: 2/4. Rates 2.5/4 and 1/4.
    """
    five = many(5)
    verdicts = [given(one, said) for one, said in zip(five, ["a", "a", "tie", "b", "a"], strict=True)]
    people = pool_votes([vote(one, said) for one, said in zip(five[:4], "babb", strict=True)])
    found = excess_of(verdicts, lambda _: True, people, "votes")
    assert found is not None
    assert (found.value, found.num) == (0.5, 4)
    assert (found.judge_rate, found.others_rate) == (0.625, 0.25)
    assert found.interval_95[0] < 0.5 < found.interval_95[1]


def test_votes_of_several_people() -> None:
    one = comparison("yes", "no")
    tie = {one.id: "tie"}
    assert pool_votes([vote(one, "a"), vote(one, "b", "you")]) == tie
    assert pool_votes([vote(one, "both_bad")]) == tie
    assert pool_votes([vote(one, "a"), vote(one, "a", "you"), vote(one, "b", "they")])[one.id] != "tie"
    assert pool_votes([vote(comparison("same", "same"), "a")]) == {}
