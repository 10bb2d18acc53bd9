"""The rule by which looks in both orders become one verdict, case by case."""

from __future__ import annotations

from itertools import product
from typing import Literal

import pytest
from judging_scene import comparisons

from palate.judge.orders import verdict_of_calls
from palate.records import JudgeCall

Said = Literal["a", "b", "tie"] | None
[COMPARISON] = comparisons(1)


def calls(a_first: Said, b_first: Said) -> list[JudgeCall]:
    return [
        JudgeCall("a", a_first, "" if a_first else "truncated"),
        JudgeCall("b", b_first, "" if b_first else "refused", detail={"why": "it declined"}),
    ]


RULE: dict[tuple[Said, Said], tuple[Said, bool]] = {
    ("a", "a"): ("a", False),
    ("b", "b"): ("b", False),
    ("tie", "tie"): ("tie", False),
    ("a", "b"): ("tie", True),
    ("b", "a"): ("tie", True),
    ("a", "tie"): ("tie", False),
    ("tie", "a"): ("tie", False),
    ("b", "tie"): ("tie", False),
    ("tie", "b"): ("tie", False),
}


@pytest.mark.parametrize("said", list(product(("a", "b", "tie", None), repeat=2)))
def test_both_orders_have_to_say_the_same(said: tuple[Said, Said]) -> None:
    verdict = verdict_of_calls(COMPARISON, "m", calls(*said), {})
    assert (verdict.preferred, verdict.flipped) == RULE.get(said, (None, False))
    assert verdict.calls == tuple(calls(*said))
    assert verdict.reason


@pytest.mark.parametrize("said", ["a", "b", "tie"])
def test_one_order_alone_is_what_it_says(said: Said) -> None:
    verdict = verdict_of_calls(COMPARISON, "m", [JudgeCall("b", said)], {})
    assert (verdict.preferred, verdict.flipped, verdict.reason) == (said, False, "in one order")


def test_half_a_verdict_is_missing_and_says_which_half() -> None:
    assert (
        verdict_of_calls(COMPARISON, "m", calls("a", None), {}).reason
        == "b shown first: refused: it declined"
    )
    assert verdict_of_calls(COMPARISON, "m", calls(None, "a"), {}).reason == "a shown first: truncated"


def test_a_flip_says_which_place_was_preferred() -> None:
    assert "shown first" not in verdict_of_calls(COMPARISON, "m", calls("b", "a"), {}).reason
    assert verdict_of_calls(COMPARISON, "m", calls("a", "b"), {}).reason == (
        "the one shown first was preferred in both orders"
    )
    assert verdict_of_calls(COMPARISON, "m", calls("b", "a"), {}).reason == (
        "the one shown second was preferred in both orders"
    )
