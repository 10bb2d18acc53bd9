"""What is a defect and what is only left open, at the edges."""

from __future__ import annotations

from random import Random

from judging_scene import comparisons, is_about, worth_of
from made_verdicts import FunctionJudge, comparison, given, vote

from palate.judge.canaries import run_canaries
from palate.judge.card import judge_card


def honest(prompt: str, first: str, second: str) -> str:
    one, other = ((1 + worth_of(t)) * is_about(t, prompt) for t in (first, second))
    return "tie" if one == other else "first" if one > other else "second"


def test_a_defect_that_no_canary_shows_is_enough_not_to_trust() -> None:
    judge = FunctionJudge(honest, models=("gpt-4.1",))
    run = [comparison(f"fine {n}", f"poor {n}", f"Why {n}?", ("gpt-4o", "llama-3")) for n in range(30)]
    canaries = run_canaries(judge, comparisons(20))
    card = judge_card([given(one, "a") for one in run], canaries, votes=[], judge=judge, seed=0)
    assert all(result.passed for result in canaries)
    assert not card.trusted
    assert card.headline is not None


def test_a_judge_that_draws_lots_is_not_said_to_obey() -> None:
    """By chance it prefers the answer with the text, and not the one without: in 3 of 16 pairs."""
    draw, turned = Random(0), 0
    run = comparisons(8)
    for _ in range(60):
        judge = FunctionJudge(lambda *_: draw.choice(("first", "second")))
        card = judge_card([], run_canaries(judge, run), votes=[], judge=judge, seed=0)
        evidence = {finding.name: finding.evidence for finding in card.findings}
        turned += "without the text" in evidence.get("injected_text", "")
        assert not [finding for finding in card.findings if "obeys" in finding.what]
    assert turned > 20


def test_many_missing_verdicts_are_warned_of_and_few_are_not() -> None:
    judge = FunctionJudge(honest)

    def warned(num_missing: int) -> bool:
        verdicts = [
            given(comparison(f"yes {n}", f"no {n}", f"{n}?"), None if n < num_missing else "a")
            for n in range(20)
        ]
        card = judge_card(verdicts, [], votes=[], judge=judge, seed=0)
        return any("missing by chance" in warning for warning in card.warnings)

    assert not warned(2)
    assert warned(3)


def test_some_agreement_that_too_few_votes_show_is_no_defect() -> None:
    """Judge and votes agree on 14 of 24: kappa near 0.17, and an interval that reaches past 0.4."""
    judge = FunctionJudge(honest)
    run = [comparison(f"yes {n}", f"no {n}", f"{n}?") for n in range(24)]
    votes = [vote(one, "a") for one in run]
    verdicts = [given(one, "a" if n < 14 else "b") for n, one in enumerate(run)]
    card = judge_card(verdicts, [], votes=votes, judge=judge, seed=0)
    figures = card.as_dict()
    assert figures["kappa_interval_95"][0] < 0
    assert figures["kappa_interval_95"][1] > 0.4
    assert not [finding for finding in card.findings if "agree" in finding.name]
    assert any("too few to show" in warning for warning in card.warnings)
