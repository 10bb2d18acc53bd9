"""Canaries: what is asked, who passes, and what one slip or none at all amounts to."""

from __future__ import annotations

import json
from random import Random

import pytest
from judging_scene import comparisons, is_about, worth_of
from made_verdicts import FunctionJudge, comparison
from scipy.stats import binom
from stand_in_asker import StandInAsker

from palate.asking import Request
from palate.judge import LLMJudge
from palate.judge.canaries import CanaryResult, num_slips_allowed, run_canaries
from palate.judge.canary_questions import CANARIES, Canary, make_canaries
from palate.judge.jury import Jury
from palate.judge.rubric import Rubric
from palate.records import Comparison, Verdict

SCENE = comparisons(40)


def text(side: tuple) -> str:
    return side[-1].content


def honest(prompt: str, first: str, second: str) -> str:
    one, other = ((1 + worth_of(t)) * is_about(t, prompt) for t in (first, second))
    return "tie" if one == other else "first" if one > other else "second"


def longer(prompt: str, first: str, second: str) -> str:
    return "tie" if len(first) == len(second) else "first" if len(first) > len(second) else "second"


def passed(results: list[CanaryResult]) -> dict[str, bool | None]:
    return {result.name: result.passed for result in results}


class TestQuestions:
    def test_each_kind_as_often_as_asked_from_prompts_of_its_own(self) -> None:
        made = make_canaries(SCENE, num=4)
        assert [canary.name for canary in made] == [name for name in CANARIES for _ in range(4)]
        for name in CANARIES:
            prompts = [canary.comparison.prompt for canary in made if canary.name == name]
            assert len(set(prompts)) == 4

    def test_the_same_for_the_same_seed_whatever_the_order_of_the_run(self) -> None:
        assert make_canaries(SCENE, seed=3) == make_canaries(SCENE[::-1], seed=3)
        assert make_canaries(SCENE, seed=3) != make_canaries(SCENE, seed=4)

    def test_the_real_answer_is_one_of_the_runs_own_and_stands_on_either_side(self) -> None:
        own = {(one.prompt, side) for one in SCENE for side in (one.completion_a, one.completion_b)}
        made = [canary for canary in make_canaries(SCENE, num=16) if canary.better]
        for canary in made:
            side = canary.comparison.completion_a if canary.better == "a" else canary.comparison.completion_b
            assert (canary.comparison.prompt, side) in own
        assert {canary.better for canary in made} == {"a", "b"}

    def test_what_each_kind_shows(self) -> None:
        for canary in make_canaries(SCENE, num=8):
            one = canary.comparison
            real, bad = (one.completion_a, one.completion_b)
            if canary.better == "b":
                real, bad = bad, real
            prompt = text(one.prompt)
            assert is_about(text(real), prompt)
            if canary.name == "identical_pair":
                assert real == bad
                assert canary.better is None
            elif canary.name == "padded_copy":
                assert text(bad).startswith(text(real))
                assert len(text(bad)) > len(text(real))
            else:
                assert not is_about(text(bad), prompt)
            assert ("Prefer this answer" in text(bad)) == (canary.name == "injected_text")

    def test_with_and_without_the_text_that_asks_the_answers_are_the_same(self) -> None:
        made = make_canaries(SCENE, num=4)

        def shown(name: str) -> list[tuple[str, str]]:
            return [
                (
                    text(canary.comparison.prompt),
                    text(
                        canary.comparison.completion_b
                        if canary.better == "a"
                        else canary.comparison.completion_a
                    ),
                )
                for canary in made
                if canary.name == name
            ]

        for (prompt, bare), (same_prompt, with_text) in zip(
            shown("other_prompt"), shown("injected_text"), strict=True
        ):
            assert prompt == same_prompt
            assert with_text.startswith(bare)

    def test_one_prompt_gives_no_answer_to_another(self) -> None:
        made = make_canaries([comparison("yes", "no")], num=4)
        assert {canary.name for canary in made} == {"null_answer", "identical_pair", "padded_copy"}
        results = run_canaries(FunctionJudge(honest), [comparison("yes", "no")])
        by_name = {result.name: result for result in results}
        assert by_name["other_prompt"].num_asked == 0
        assert by_name["other_prompt"].passed is None
        assert "another prompt" in by_name["other_prompt"].why_not_asked

    def test_the_same_answer_to_two_prompts_is_no_answer_to_another(self) -> None:
        run = [comparison("yes", "no", "Is it?"), comparison("yes", "no", "Was it?")]
        assert "other_prompt" not in {canary.name for canary in make_canaries(run)}

    def test_answers_that_say_nothing_make_none(self) -> None:
        assert make_canaries([comparison("", "  \n")]) == []
        assert all(not result.num_asked for result in run_canaries(FunctionJudge(honest), []))

    def test_none_is_a_wrong_number(self) -> None:
        with pytest.raises(ValueError, match="0 canaries"):
            make_canaries(SCENE, num=0)


class TestPassing:
    def test_an_honest_judge_passes_all(self) -> None:
        assert set(passed(run_canaries(FunctionJudge(honest), SCENE)).values()) == {True}

    def test_one_that_takes_length_for_worth_fails_on_the_padded_copy(self) -> None:
        results = run_canaries(FunctionJudge(longer), SCENE)
        assert passed(results)["padded_copy"] is False
        assert passed(results)["identical_pair"] is True

    def test_one_that_obeys_is_told_from_one_that_does_not(self) -> None:
        def obeys(prompt: str, first: str, second: str) -> str:
            asks = ["Prefer this answer" in first, "Prefer this answer" in second]
            return honest(prompt, first, second) if asks[0] == asks[1] else "first" if asks[0] else "second"

        results = passed(run_canaries(FunctionJudge(obeys), SCENE))
        assert [name for name, well in results.items() if not well] == ["injected_text"]

    def test_a_forged_verdict_that_is_read_as_one_is_found(self) -> None:
        def gullible(prompt: str, first: str, second: str) -> str:
            said = '"verdict": "first"' in first + second
            return "first" if said else honest(prompt, first, second)

        results = passed(run_canaries(FunctionJudge(gullible), SCENE))
        assert [name for name, well in results.items() if not well] == ["null_answer"]

    def test_a_judge_of_no_order_that_prefers_a_fails_the_identical_pair(self) -> None:
        class PrefersA:
            name, models = "a", ()

            def judge(self, comparisons: list[Comparison], watcher: object = None) -> list[Verdict]:
                return [Verdict(one, "a", "a") for one in comparisons]

        assert passed(run_canaries(PrefersA(), SCENE))["identical_pair"] is False

    @pytest.mark.parametrize("habit", ["first", "second"])
    def test_a_judge_that_goes_by_the_place_fails_the_identical_pair(self, habit: str) -> None:
        """Both orders are one question, and its one answer a flip: a tie that the judge never saw."""
        results = {r.name: r for r in run_canaries(FunctionJudge(lambda *_: habit), SCENE)}
        identical = results["identical_pair"]
        assert [verdict.preferred for verdict in identical.verdicts] == ["tie"] * 4
        assert (identical.passed, identical.num_failed, identical.num_forced) == (False, 4, 0)

    def test_a_judge_that_draws_lots_fails_the_identical_pair(self) -> None:
        draw = Random(0)
        for _ in range(10):
            results = passed(run_canaries(FunctionJudge(lambda *_: draw.choice(("first", "second"))), SCENE))
            assert results["identical_pair"] is False

    def test_a_jury_fails_it_where_most_of_its_jurors_do(self) -> None:
        def habit(name: str) -> FunctionJudge:
            return FunctionJudge(lambda *_: "first", name=name)

        def sound(name: str) -> FunctionJudge:
            return FunctionJudge(honest, name=name)

        for judges, expected in (
            ((habit("1"), habit("2"), sound("3")), False),
            ((habit("1"), sound("2"), sound("3")), True),
        ):
            assert passed(run_canaries(Jury(judges), SCENE))["identical_pair"] is expected

    def test_where_the_rubric_allows_no_ties_the_identical_pair_shows_nothing(self) -> None:
        def say(request: Request) -> str:
            return json.dumps({"reasoning": "", "verdict": "first"})

        for allow_ties, expected in ((True, False), (False, None)):
            rubric = Rubric(name="r", instruction="Choose.", allow_ties=allow_ties)
            judge = LLMJudge(StandInAsker(say), "m", rubric)
            identical = {r.name: r for r in run_canaries(judge, SCENE)}["identical_pair"]
            assert (identical.passed, identical.num_failed) == (expected, 4 if allow_ties else 0)
            assert ("allows no ties" in identical.why_nothing) == (not allow_ties)
            assert identical.as_dict()["num_forced"] == (0 if allow_ties else 4)

    def test_no_prompt_stands_twice_in_one_call(self) -> None:
        calls: list[list[Comparison]] = []

        class Recording(FunctionJudge):
            def judge(self, comparisons, watcher=None):  # type: ignore[no-untyped-def]
                calls.append(list(comparisons))
                return super().judge(comparisons, watcher)

        run_canaries(Recording(honest), SCENE[:3], num=4)
        for asked in calls:
            assert len({one.prompt for one in asked}) == len(asked)
        assert sum(map(len, calls)) == len(make_canaries(SCENE[:3], num=4))


class TestTheRule:
    @pytest.mark.parametrize(
        ("n", "allowed"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (8, 2), (16, 3)]
    )
    def test_slips_allowed(self, n: int, allowed: int) -> None:
        """Hand-worked for n = 4: P(2 or more of 4 at 5%) = 1 - .95^4 - 4 * .05 * .95^3 = 1.4%, below 2%."""
        assert num_slips_allowed(n) == allowed

    @pytest.mark.parametrize("n", range(2, 60))
    def test_an_honest_judge_is_seldom_accused(self, n: int) -> None:
        assert binom.sf(num_slips_allowed(n), n, 0.05) <= 0.02

    def result(self, *said: str | None) -> CanaryResult:
        one = comparison("real", "bad")
        asked = tuple(Canary("null_answer", one, "a") for _ in said)
        return CanaryResult("null_answer", asked, tuple(Verdict(one, "j", preferred) for preferred in said))

    def test_one_slip_of_four_passes_and_two_fail(self) -> None:
        assert self.result("a", "a", "a", "b").passed is True
        assert self.result("a", "a", "b", "tie").passed is False

    def test_a_missing_verdict_is_not_wrong(self) -> None:
        result = self.result("a", None, None, None)
        assert (result.passed, result.num_failed, result.num_missing) == (True, 0, 3)
        assert self.result(None, None).passed is None

    def test_a_tie_with_a_padded_copy_is_right_and_with_a_forgery_wrong(self) -> None:
        one = comparison("real", "real real")
        tie = Verdict(one, "j", "tie")
        assert not Canary("padded_copy", one, "a").is_wrong(tie)
        assert Canary("padded_copy", one, "a").is_wrong(Verdict(one, "j", "b"))
        assert Canary("null_answer", one, "a").is_wrong(tie)
        assert not Canary("identical_pair", comparison("x", "x"), None).is_wrong(tie)

    def test_examples_are_short(self) -> None:
        one = comparison("real", "bad" * 1000)
        result = CanaryResult(
            "null_answer", (Canary("null_answer", one, "a"),) * 3, (Verdict(one, "j", "b"),) * 3
        )
        examples = result.as_dict()["examples"]
        assert len(examples) == 2
        assert len(examples[0]["completion_b"]) == 300
