"""Verdicts put back on answers of two models or more, and what they add up to, worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from palate.evaluate.contestants import Answered
from palate.evaluate.judgements import Contest, Judgements, contests_of, rights_of, to_judge
from palate.evaluate.judges.votes import VoteJudge
from palate.evaluate.standings import ranking, standing, verdict_on
from palate.judge.programmatic import ScorerJudge
from palate.records import Answer, Comparison, Message, Verdict, Vote


def answered(**texts: Sequence[str | Sequence[str]]) -> Answered:
    """Of each model its answer, or answers, to each prompt."""
    prompts = tuple((Message("user", f"Question {n}"),) for n in range(len(next(iter(texts.values())))))
    return Answered(
        prompts,
        {
            name: tuple(
                tuple(Answer(prompt, text, name) for text in ([said] if isinstance(said, str) else said))
                for prompt, said in zip(prompts, own, strict=True)
            )
            for name, own in texts.items()
        },
    )


def judged(contests: Sequence[Contest], judge: str = "longer") -> Judgements:
    return Judgements(judge, "scorer", tuple(ScorerJudge(judge).judge(to_judge(contests, "scorer"))))


def test_every_two_models_meet_on_every_prompt() -> None:
    contests = contests_of(answered(a=["1", "22"], b=["333", "4"], c=["5", "6"]))
    assert [(one.against, one.of, one.place) for one in contests] == [
        ("a", "b", 0), ("a", "b", 1), ("a", "c", 0), ("a", "c", 1), ("b", "c", 0), ("b", "c", 1),
    ]  # fmt: skip
    assert contests[0].comparison.generators == ("a", "b")


def test_a_content_is_judged_once_and_told_of_whichever_side() -> None:
    """c says to the prompt what a said: its contest with b is a's, turned round."""
    contests = contests_of(answered(a=["long answer"], b=["short"], c=["long answer"]))
    asked = to_judge(contests, "llm")
    assert len(asked) == 1, "a against c is equal and not asked"
    assert len(to_judge(contests, "scorer")) == 2, "a scorer's numbers are shown"
    found = judged(contests)
    assert [found.of(one.comparison).preferred for one in contests] == ["a", "tie", "b"]  # type: ignore[union-attr]
    assert set(found.scores().values()) == {11.0, 5.0}


def test_figures_by_hand() -> None:
    """b is longer on prompts 0 to 2, shorter on 3: three wins, one loss."""
    both = answered(a=["x", "x", "x", "xxx"], b=["xx", "xx", "xx", "x"])
    contests = contests_of(both)
    counted, row = standing(contests, both, judged(contests), None)
    assert (row["num_wins"], row["num_losses"], row["num_ties"], row["num_missing"]) == (3, 1, 0, 0)
    assert row["win_rate"] == 0.75 == counted.win_rate
    assert row["interval_95"] == pytest.approx([0.3006, 0.9544], abs=1e-3)
    assert row["sign_test_p"] == pytest.approx(0.625)
    assert row["agreement_corrected_win_rate"] is None
    assert "holds 50%" in row["sentence"] and row["warnings"][0].startswith("4 prompts are few")


def test_several_answers_to_a_prompt_are_one_witness() -> None:
    once = answered(a=["x"] * 8, b=["xx"] * 7 + ["x"])
    often = answered(a=[["x"] * 8], b=[["xx"] * 7 + ["x"]])
    wide, narrow = (
        standing(contests_of(one), one, judged(contests_of(one)), None)[1]["interval_95"]
        for one in (often, once)
    )
    assert wide == [0.0, 1.0] and narrow[0] > 0.4
    (few, *_) = standing(contests_of(often), often, judged(contests_of(often)), None)[1]["warnings"]
    assert few.startswith("1 prompt is few: ")


def test_a_judge_that_gave_nothing_is_no_tie() -> None:
    both = answered(a=["x", "x"], b=["xx", "xx"])
    contests = contests_of(both)
    none = Judgements("nobody", "llm", ())
    _, row = standing(contests, both, none, None)
    assert (row["win_rate"], row["num_missing"], row["warnings"]) == (None, 2, [])
    assert ranking(contests, none) == {"ranking": None, "ranking_notes": []}


def test_a_win_by_length_alone_is_said() -> None:
    """The longer answer wins three times of four, whosever it is, and b's is longer in 280 of 400: 60%."""
    both = answered(a=["x" * 10] * 280 + ["x" * 20] * 120, b=["y" * 20] * 280 + ["y" * 10] * 120)
    contests = contests_of(both)
    verdicts = [
        Verdict(one.comparison, "judge", "b" if (one.place % 4 > 0) == (one.place < 280) else "a")
        for one in contests
    ]
    _, row = standing(contests, both, Judgements("judge", "llm", tuple(verdicts)), None)
    assert row["win_rate"] == 0.6
    assert row["interval_95"][0] > 0.5
    low, high = row["length_controlled_interval_95"]
    assert low <= 0.5 <= high
    assert any("may be its length" in warning for warning in row["warnings"])


def vote(comparison: Comparison, preferred: str, annotator: str = "me") -> Vote:
    return Vote(comparison, annotator, preferred)  # type: ignore[arg-type]


def test_a_judge_is_corrected_by_votes() -> None:
    """The judge has b win all 40; people prefer what it preferred on 16 of 20: a = 0.8, p = 1 -> 1."""
    both = answered(a=["x"] * 40, b=["xx"] * 40)
    contests = contests_of(both)
    found = judged(contests)
    votes = [vote(one.comparison, "b" if n % 5 else "a") for n, one in enumerate(contests[:20])]
    votes += [vote(contests[30].comparison, "tie"), vote(contests[31].comparison, "both_bad")]
    rights = rights_of(found, votes)
    assert (len(rights), sum(right for right, _ in rights)) == (20, 16)
    _, row = standing(contests, both, found, rights)
    assert row["judge_accuracy"]["value"] == 0.8 and row["judge_accuracy"]["num"] == 20
    assert row["agreement_corrected_win_rate"] == 1
    wrong = rights_of(found, [vote(one.comparison, "a") for one in contests[:20]])
    _, row = standing(contests, both, found, wrong)
    assert row["agreement_corrected_win_rate"] is None
    assert any("no more than a coin" in warning for warning in row["warnings"])


def test_people_judge_by_most_of_their_votes() -> None:
    contests = contests_of(answered(a=["x", "x", "x"], b=["y", "y", "y"]))
    first, second, third = (one.comparison for one in contests)
    turned = Comparison(second.prompt, second.completion_b, second.completion_a, second.provenance)
    judge = VoteJudge(
        [
            vote(first, "a", "me"), vote(first, "a", "you"), vote(first, "b", "they"),
            vote(turned, "a", "me"), vote(second, "tie", "you"), vote(second, "b", "they"),
        ]
    )  # fmt: skip
    assert judge.name == "votes of 3 people"
    verdicts = judge.judge([first, second, third])
    assert [verdict.preferred for verdict in verdicts] == ["a", "b", None]
    assert verdicts[0].reason == "votes: 2 a, 1 b" and verdicts[2].reason == "nobody voted on it"


def test_three_models_are_ranked_and_the_verdict_says_who_is_beyond_the_first() -> None:
    three = answered(a=["xx"] * 40, b=["xxx"] * 40, c=["xx", "xxx"] * 10 + ["x", "xx"] * 10)
    contests = contests_of(three)
    found = judged(contests)
    ranked = ranking(contests, found)["ranking"]
    assert (ranked[0]["model"], {row["model"] for row in ranked[1:]}) == ("b", {"a", "c"})
    assert ranked[0]["strength"] > 0 > ranked[2]["strength"]
    rows = []
    for of, against in (("b", "a"), ("c", "a"), ("c", "b")):
        own = [one for one in contests if (one.of, one.against) == (of, against)]
        rows.append(standing(own, three, found, None)[1])
    said = verdict_on(rows, "a")
    assert (
        said == "Preferred to a: b; no difference from a is shown for c "
        "(95% intervals, 2 sign tests taken together)."
    )


def row(of: str, rate: float | None, low: float, high: float, p: float) -> dict[str, object]:
    return {"of": of, "against": "base", "win_rate": rate, "interval_95": [low, high], "sign_test_p": p}


def test_of_several_models_one_is_not_claimed_that_chance_may_show_among_so_many() -> None:
    """0.03 alone is beyond chance; of four looks, one such comes up more often than one time in ten."""
    level = [row(name, 0.5, 0.4, 0.6, 0.9) for name in "cde"]
    said = verdict_on([row("b", 0.61, 0.51, 0.7, 0.03), *level], "base")
    alone = "Apart from base by an interval of its own, but not with 4 sign tests taken together: b"
    assert said.startswith(f"{alone}; no difference from base is shown for c, d, e (")
    assert verdict_on([row("b", 0.3, 0.2, 0.4, 0.001), *level], "base").startswith(
        "Less preferred than base: b"
    )


def test_models_without_a_verdict_are_said_to_have_none() -> None:
    missing = [row(name, None, 0.0, 1.0, 1.0) for name in "bc"]
    assert verdict_on(missing, "base") == "Nothing can be said: all verdicts are missing."
    said = verdict_on([missing[0], row("c", 0.5, 0.4, 0.6, 1.0)], "base")
    assert said.startswith("No difference from base is shown for c; no verdict on b (")
