"""Juries: what several verdicts add up to, and that none of them is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given as over
from hypothesis import strategies as st
from made_verdicts import both_orders, comparison, given, turned

from palate.errors import JudgeError
from palate.judge.jury import Jury, jurors_of
from palate.records import Comparison, Verdict

said = st.sampled_from(["a", "b", "tie", None])
OTHER = {"a": "b", "b": "a", "tie": "tie", None: None}


class Fixed:
    """Says what it was told to say."""

    def __init__(self, name: str, says: Sequence[str | None], models: tuple[str, ...] = ()) -> None:
        self.name, self.models, self._says = name, models, says

    def judge(self, comparisons: Sequence[Comparison], watcher: object = None) -> list[Verdict]:
        return [given(one, says, self.name) for one, says in zip(comparisons, self._says, strict=True)]


def many(num: int) -> list[Comparison]:
    return [comparison(f"yes {i}", f"no {i}", f"Why {i}?") for i in range(num)]


def pooled(*says: str | None) -> Verdict:
    jurors = [Fixed(f"j{number}", [one]) for number, one in enumerate(says)]
    return Jury(jurors).judge([comparison("yes", "no")])[0]


@pytest.mark.parametrize(
    ("says", "verdict"),
    [
        ("aab", "a"),
        ("bba", "b"),
        ("ab", "tie"),
        ("abt", "tie"),
        ("att", "tie"),
        ("aatt", "tie"),
        ("aabt", "a"),
        ("aabb", "tie"),
        ("a.a", "a"),
        ("ab.", "tie"),
        ("a..", None),
        ("a.", None),
        ("...", None),
    ],
)
def test_the_majority_a_level_vote_and_the_quorum(says: str, verdict: str | None) -> None:
    """`t` is a tie, `.` a missing verdict; a quorum is more than half of the jurors."""
    found = pooled(*({"t": "tie", ".": None}.get(one, one) for one in says))
    assert found.preferred == verdict
    assert found.detail.get("problem") == (None if verdict else "no_quorum")


def test_why_a_verdict_is_what_it_is() -> None:
    assert pooled("a", "a", "b", None).reason == "jurors: 2 a, 1 b, 1 missing"
    assert pooled("a", None, None).reason == "1 of 3 jurors gave a verdict: no quorum"


@over(st.lists(said, min_size=2, max_size=6))
def test_swapping_sides_swaps_the_verdict(says: list[str | None]) -> None:
    one = comparison("yes", "no")
    jurors = [Fixed(f"j{number}", [each]) for number, each in enumerate(says)]
    swapped = [Fixed(f"j{number}", [OTHER[each]]) for number, each in enumerate(says)]
    assert Jury(swapped).judge([turned(one)])[0].preferred == OTHER[Jury(jurors).judge([one])[0].preferred]


def test_models_are_those_of_all_jurors() -> None:
    jury = Jury([Fixed("x", [], ("gpt-4o",)), Fixed("y", [], ("gpt-4o", "qwen")), Fixed("z", [])])
    assert jury.models == ("gpt-4o", "qwen")
    assert jury.name == "jury of x, y, z"
    assert jury.judge([]) == []


def test_jurors_verdicts_come_back_whole_from_a_file() -> None:
    one = comparison("yes", "no")

    class Looks(Fixed):
        def judge(self, comparisons: Sequence[Comparison], watcher: object = None) -> list[Verdict]:
            return [both_orders(each, "a", "b", self.name) for each in comparisons]

    jurors = [Looks("x", [], ("gpt-4o",)), Fixed("y", ["a"]), Fixed("z", [None])]
    verdict = Jury(jurors).judge([one])[0]
    detail = json.loads(json.dumps(verdict.detail))
    back = jurors_of(Verdict(one, verdict.judge, verdict.preferred, detail=detail))
    assert [own for own, _ in back] == [juror.judge([one])[0] for juror in jurors]
    assert [models for _, models in back] == [("gpt-4o",), (), ()]
    assert jurors_of(given(one, "a")) == []


def test_weighted_by_skill_one_good_juror_outweighs_two_that_guess() -> None:
    """Two pairs of good jurors who agree, and one contrary juror: told apart over many comparisons."""
    num = 60
    truth = ["a" if i % 3 else "b" for i in range(num)]
    noise = ["ab"[(i * 7 // 3) % 2] for i in range(num)]
    other_noise = ["ab"[(i * 11 // 5) % 2] for i in range(num)]
    jurors = [
        Fixed("good", truth),
        Fixed("as good", truth),
        Fixed("guesses", noise),
        Fixed("guesses too", other_noise),
        Fixed("guesses as well", ["ab"[(i // 2) % 2] for i in range(num)]),
    ]
    weighted = [v.preferred for v in Jury(jurors, "dawid_skene").judge(many(num))]
    majority = [v.preferred for v in Jury(jurors).judge(many(num))]
    assert sum(map(str.__eq__, weighted, truth)) > sum(map(str.__eq__, majority, truth))
    assert sum(map(str.__eq__, weighted, truth)) >= 58


def test_weighted_pooling_says_how_sure_it_is_and_keeps_the_quorum() -> None:
    jurors = [Fixed(name, says) for name, says in (("x", ["a", "a"]), ("y", ["a", None]), ("z", ["a", None]))]
    first, second = Jury(jurors, "dawid_skene").judge(many(2))
    assert set(first.detail["probabilities"]) == {"a", "b", "tie"}
    assert sum(first.detail["probabilities"].values()) == pytest.approx(1)
    assert max(first.detail["probabilities"], key=first.detail["probabilities"].get) == "a" == first.preferred
    assert second.preferred is None


def test_weighted_swapping_sides_swaps_the_verdicts() -> None:
    says = [
        ["a", "b", "tie", "a", "b", "a"],
        ["a", "a", "b", "a", None, "b"],
        ["b", "b", "tie", "a", "b", "a"],
    ]
    jury = Jury([Fixed(str(n), each) for n, each in enumerate(says)], "dawid_skene")
    swapped = Jury([Fixed(str(n), [OTHER[x] for x in each]) for n, each in enumerate(says)], "dawid_skene")
    there = [v.preferred for v in jury.judge(many(6))]
    assert [OTHER[v.preferred] for v in swapped.judge([turned(one) for one in many(6)])] == there


def test_what_is_no_jury() -> None:
    with pytest.raises(JudgeError, match="jury of 1"):
        Jury([Fixed("x", [])])
    with pytest.raises(JudgeError, match='two jurors are called "x"'):
        Jury([Fixed("x", []), Fixed("x", [])])
    with pytest.raises(JudgeError, match="dawid_skene"):
        Jury([Fixed("x", []), Fixed("y", [])], "dawid_skene")
