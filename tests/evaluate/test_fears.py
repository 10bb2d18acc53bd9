"""What a user fears: each told in an answer by hand, found where it is, and never out of noise."""

from __future__ import annotations

import random
from typing import Any

import pytest

from palate.evaluate.fears.loops import is_repeating, repeated_share
from palate.evaluate.fears.measure import flag_answers, look_for_fears
from palate.evaluate.fears.worse import worse_prompts
from palate.evaluate.paired import growth, mean, share, sign_test_of_prompts
from palate.records import Answer, Comparison, Message, Provenance, Verdict
from palate.statistics.per_token import positive_per_token

WORDS = ["river", "stone", "bread", "window", "lantern", "harbour", "winter", "copper", "garden", "letter"]


def prompt(number: int) -> tuple[Message, ...]:
    return (Message("user", f"Question {number}"),)


def answers(name: str, *texts: str, finished: bool = True) -> list[list[Answer]]:
    """One to each prompt."""
    return [[Answer(prompt(number), text, name, finished)] for number, text in enumerate(texts)]


def sentences(num: int, seed: int, length: int = 12) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=length)).capitalize() + "." for _ in range(num)]


def fears(**models: list[list[Answer]]) -> Any:
    return look_for_fears(models, flag_answers(models))


@pytest.mark.parametrize(
    "text",
    [
        "It is good. " + "and so on " * 4,
        "Well, " + "ha " * 12,
        "The inn is by the harbour. " * 4,
        "很好很好很好很好很好很好很好",
    ],
)
def test_loops_are_told(text: str) -> None:
    assert is_repeating(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No, no, no!",
        "Again and again and again they came to the harbour.",
        "| a | b |\n| --- | --- | --- | --- | --- |\n" + "-" * 40,
        "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, life is but a dream.",
        "A heading\n" + "= " * 20,
        " ".join(WORDS * 1),
    ],
)
def test_what_is_no_loop(text: str) -> None:
    assert not is_repeating(text)


def test_repeated_share_by_hand() -> None:
    """a b c d a b c d: runs abcd bcda cdab dabc abcd, one of five stood there before."""
    assert repeated_share("a b c d a b c d") == pytest.approx(1 / 5)
    assert repeated_share("a b c") == 0


def test_every_flag_by_hand() -> None:
    found = flag_answers(
        {
            "m": answers(
                "m", "All is well.", "It was the", "", "I'm sorry, but I cannot help with that.",
                "So it goes. " * 5, "He said so.", "They agreed.", "It rained.",
            )
        }
    )["m"]  # fmt: skip
    flagged = {flag: [place for place, own in enumerate(of) if own[0]] for flag, of in found.items()}
    assert flagged == {"unfinished": [], "cut_off": [1], "repeating": [4], "refusal": [3], "empty": [2]}
    limited = flag_answers({"m": answers("m", "It was the", finished=False)})["m"]
    assert (limited["unfinished"], limited["cut_off"]) == (((True,),), ((False,),)), "counted as one of them"


def test_figures_by_hand() -> None:
    """Lengths 4, 6 | 8, 10 | 9, 9: means of prompts 5, 9 and 9, mean 7.67."""
    found = mean([[4, 6], [8, 10], [9, 9]])
    assert found.value == pytest.approx(23 / 3)
    assert found.interval_95 == positive_per_token([5, 9, 9], [1, 1, 1])[1], "prompts count, not answers"
    assert share([[True], [False], [False], [False]]).value == 0.25
    grown = growth([[2.0], [4.0]], [[1.0], [2.0]])
    assert grown is not None and (grown.ratio, grown.interval_95) == (2, (2, 2))
    assert growth([[1.0]], [[0.0]]) is None
    # Six prompts with it only in one model, one only in the other: 2 * (1 + 7) / 2^7.
    own = [[True]] * 6 + [[False]]
    assert sign_test_of_prompts(own, [[not flag] for (flag,) in own]) == pytest.approx(16 / 128)


def test_a_model_that_loops_and_never_stops_is_found() -> None:
    plain = sentences(40, 1)
    looping = [text + " and then" * 10 if place % 2 else text for place, text in enumerate(plain)]
    found = fears(base=answers("base", *plain), tuned=answers("tuned", *looping))
    by_name = {finding.name: finding for finding in found.findings}
    assert {"repeating", "longer"} <= set(by_name)
    assert by_name["repeating"].evidence["model"]["value"] == 0.5
    assert by_name["repeating"].evidence["p"] == pytest.approx(2 / 2**20)
    assert "goes round in circles in 50% of its answers, base in 0%" in by_name["repeating"].sentence
    assert all(finding.model == "tuned" for finding in found.findings)


def test_answers_that_all_begin_alike_are_found_less_varied() -> None:
    varied = sentences(40, 2)
    alike = ["Oh, my dear friend, what a joy it is that you ask me this today!" for _ in varied]
    found = fears(base=answers("base", *varied), tuned=answers("tuned", *alike))
    (finding,) = [one for one in found.findings if one.name == "less_varied"]
    assert "self-BLEU 1.000" in finding.sentence


def test_refusals_and_silence_are_found_and_what_became_better_is_not() -> None:
    plain = sentences(30, 3)
    refusing = ["I cannot help with that."] * 12 + plain[12:]
    worse = fears(base=answers("base", *plain), tuned=answers("tuned", *refusing))
    assert "refusal" in {finding.name for finding in worse.findings}
    better = fears(base=answers("base", *refusing), tuned=answers("tuned", *plain))
    assert "refusal" not in {finding.name for finding in better.findings}


def test_answers_cut_off_at_the_limit_are_said_of_whoever_gives_them() -> None:
    cut = answers("base", *sentences(10, 4), finished=False)
    found = fears(base=cut, tuned=answers("tuned", *sentences(10, 5)))
    assert [(one.name, one.model, one.severity) for one in found.findings] == [
        ("length_limit", "base", "info")
    ]


def test_two_alike_are_hardly_ever_told_apart() -> None:
    """Twenty pairs of models that differ in nothing: at most one claims a change."""
    claimed = 0
    for seed in range(20):
        draw = random.Random(seed)

        def writes(name: str, seed: int, draw: random.Random = draw) -> list[list[Answer]]:
            texts = sentences(12, seed)
            return [
                [Answer(prompt(place), text * draw.choice((1, 1, 2)), name, draw.random() < 0.9)]
                for place, text in enumerate(texts)
            ]

        found = fears(base=writes("base", 2 * seed), tuned=writes("tuned", 2 * seed + 1))
        claimed += any(one.name not in ("length_limit",) for one in found.findings)
    assert claimed <= 1


def told(preferred: str | None, reason: str = "") -> Verdict:
    comparison = Comparison(prompt(0), (Message("assistant", "x"),), (), Provenance("test"))
    return Verdict(comparison, "judge", preferred, reason)  # type: ignore[arg-type]


def test_prompts_that_became_worse_are_named_the_worst_first() -> None:
    base = answers("base", "All is well.", "It is so.", "I'm sorry, but I cannot help with that.", "Yes.")
    tuned = answers("tuned", "All is well.", "", "I'm sorry, but I cannot help with that.", "No.")
    flags = flag_answers({"base": base, "tuned": tuned})
    verdicts = [[told("b")], [told("a")], [told("tie")], [told("a", "scores 2 and 1")]]
    prompts = [prompt(number) for number in range(4)]
    found = worse_prompts(prompts, base, tuned, flags["base"], flags["tuned"], verdicts)
    assert [row["prompt"] for row in found] == ["Question 1", "Question 3"]
    assert found[0]["why"] == "says nothing, where the base does not; the judge prefers the base's answer"
    assert found[1] == {
        "prompt": "Question 3",
        "base": "Yes.",
        "tuned": "No.",
        "model": "tuned",
        "why": "the judge prefers the base's answer (scores 2 and 1)",
    }
    assert len(worse_prompts(prompts, base, tuned, flags["base"], flags["tuned"])) == 1


def test_of_several_answers_more_have_to_be_lost_than_won() -> None:
    base = [[Answer(prompt(0), text, "base") for text in ("A.", "B.", "C.")]]
    flags = flag_answers({"base": base, "tuned": base})
    for sides, num in (("aab", 1), ("abb", 0), ("a", 1)):
        verdicts = [[told(side) for side in sides]]
        found = worse_prompts([prompt(0)], base, base, flags["base"], flags["tuned"], verdicts)
        assert len(found) == num, sides


def test_answers_without_a_verdict_are_no_times_that_the_judge_did_otherwise() -> None:
    """Of three answers two were judged and lost: not "2 of 3 times", which would be a win or a tie."""
    base = [[Answer(prompt(0), text, "base") for text in ("A.", "B.", "C.")]]
    flags = flag_answers({"base": base, "tuned": base})
    for verdicts, said in (
        ([told("a"), None, told("a")], "base's answer 2 of 2 times"),
        ([told(None), told("a"), None], "base's answer"),
        ([told("a"), told("tie"), told("a")], "base's answer 2 of 3 times"),
    ):
        (found,) = worse_prompts([prompt(0)], base, base, flags["base"], flags["tuned"], [verdicts])
        assert found["why"] == f"the judge prefers the {said}"
