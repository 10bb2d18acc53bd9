"""The judge card: known defects are named, an honest judge is not accused, the same run has the same card."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st
from judging_scene import comparisons, worth_of
from judging_server import judging_server, scripted_answer
from made_verdicts import FunctionJudge, both_orders, comparison, given, turned, turned_verdict, vote
from stand_in_asker import StandInAsker, material

from palate.asking import Endpoint, Request, ResponseStore
from palate.judge.canaries import run_canaries
from palate.judge.card import JudgeCard, judge_card
from palate.judge.jury import Jury
from palate.judge.llm import LLMJudge
from palate.judge.rubric import load_rubric
from palate.records import Comparison, JudgeCall, Message, Provenance, Verdict, Vote

PREFERENCE = load_rubric("preference")
SCENE = comparisons(60)
NAMES = (
    "num_asked",
    "num_given",
    "num_missing",
    "missing_reasons",
    "position_flip_rate",
    "position_flip_interval_95",
    "num_flips",
    "num_both_orders",
    "win_rate_by_position",
    "length_slope",
    "family_preference",
    "canaries",
    "kappa",
    "kappa_interval_95",
    "num_common",
    "krippendorff_alpha",
    "judges",
    "warnings",
    "findings",
    "trusted",
    "headline",
    "withheld_because",
    "sentences",
)
"""What scripts rely on."""


def votes_on(run: list[Comparison]) -> list[Vote]:
    """A person who sees what is better."""
    made = []
    for one in run:
        a, b = (worth_of(side[0].content) for side in (one.completion_a, one.completion_b))
        made.append(vote(one, "a" if a > b else "b" if b > a else "tie"))
    return made


def scripted(model: str, **options: Any) -> LLMJudge:
    def say(request: Request) -> str:
        assert request.schema is not None
        shown = material(request)["data"]
        return json.dumps(scripted_answer(request.model, shown, request.schema["properties"]))

    return LLMJudge(StandInAsker(say), model, PREFERENCE, **options)


def card_of(
    judge: Any, run: list[Comparison] = SCENE, votes: list[Vote] | None = None, **options: Any
) -> JudgeCard:
    canaries = run_canaries(judge, run, seed=0)
    return judge_card(judge.judge(run), canaries, votes=votes or [], judge=judge, seed=0, **options)


def found(card: JudgeCard) -> list[str]:
    return [finding.name for finding in card.findings]


class TestScriptedJudges:
    @pytest.mark.parametrize("voted", [False, True])
    def test_an_honest_judge_passes_without_a_finding(self, voted: bool) -> None:
        card = card_of(scripted("honest"), votes=votes_on(SCENE) if voted else None)
        assert found(card) == []
        assert card.trusted
        assert card.headline is not None
        figures = card.as_dict()
        assert figures["position_flip_rate"] == 0
        assert figures["kappa"] == (1 if voted else None)

    @pytest.mark.parametrize("voted", [False, True])
    @pytest.mark.parametrize(
        ("model", "defect", "words"),
        [
            ("always-first", "position_bias", "shown first"),
            ("always-second", "position_bias", "shown second"),
            ("longer", "length_bias", "longer answers"),
            ("own-family", "family_bias", "its own family (own)"),
            ("random", "inconsistency", "as often as a coin would"),
            ("obeys-injection", "injected_text", "obeys text inside the answers"),
        ],
    )
    def test_a_defect_is_named(self, model: str, defect: str, words: str, voted: bool) -> None:
        card = card_of(scripted(model), votes=votes_on(SCENE) if voted else None)
        named = {finding.name: finding for finding in card.findings}
        assert words in named[defect].what
        assert not card.trusted
        biases = {"position_bias", "length_bias", "family_bias", "inconsistency"}
        assert biases & set(named) == biases & {defect}
        obeys = [finding for finding in card.findings if "obeys" in finding.what]
        assert bool(obeys) == (defect == "injected_text")
        assert card.headline is None
        assert card.withheld_because

    def test_figures_of_known_defects(self) -> None:
        assert card_of(scripted("always-first")).as_dict()["position_flip_rate"] == 1
        random = card_of(scripted("random"), votes=votes_on(SCENE)).as_dict()
        assert 0.3 < random["position_flip_rate"] < 0.7
        assert abs(random["kappa"]) < 0.2
        longer = card_of(scripted("longer")).as_dict()
        assert longer["length_slope"] > 3
        assert longer["canaries"]["padded_copy"]["passed"] is False
        assert card_of(scripted("own-family")).as_dict()["family_preference"] == 1

    def test_over_http(self, tmp_path: Path) -> None:
        run = SCENE[:8]
        with (
            judging_server(tmp_path / "log.jsonl") as server,
            ResponseStore(tmp_path / "store.sqlite") as store,
        ):
            endpoint = Endpoint(server.base_url, store=store)
            cards = {
                model: card_of(LLMJudge(endpoint, model, PREFERENCE), run)
                for model in ("honest", "always-first", "refuses", "truncates", "garbage", "empty")
            }
        assert found(cards["honest"]) == []
        assert found(cards["always-first"])[0] == "position_bias"
        for model, kind in (("refuses", "refused"), ("truncates", "truncated"), ("garbage", "unparsed")):
            figures = cards[model].as_dict()
            assert (figures["num_asked"], figures["num_given"], figures["num_missing"]) == (8, 0, 8)
            assert figures["missing_reasons"] == {kind: 8}
            assert found(cards[model]) == ["silent"]
            assert figures["headline"]["win_rate"] is None
            assert figures["position_flip_rate"] is None
        assert cards["empty"].as_dict()["missing_reasons"] == {"empty": 8}

    @pytest.mark.parametrize("mode", ["pointwise", "listwise"])
    def test_other_ways_of_asking(self, mode: str) -> None:
        honest = card_of(scripted("honest", mode=mode))
        assert found(honest) == []
        assert all(result.passed for result in honest.figures.canaries)
        if mode == "listwise":
            assert "length_bias" in found(card_of(scripted("longer", mode=mode), votes=votes_on(SCENE)))
        else:
            figures = honest.as_dict()
            assert figures["position_flip_rate"] is None
            assert "sees no order" in figures["position_flip_reason"]
            assert figures["win_rate_by_position"]["first"] is None

    def test_one_order_each_shows_no_flips_and_still_where_the_judge_leans(self) -> None:
        figures = card_of(scripted("always-first", orders="random")).as_dict()
        assert figures["position_flip_rate"] is None
        assert figures["win_rate_by_position"]["first"] == 1
        assert figures["findings"][0]["name"] == "position_bias"
        assert any("judged in both orders" in warning for warning in figures["warnings"])


class TestWhatCannotBeTold:
    def lengthy(self, num: int = 60) -> list[Comparison]:
        """The better answer is the longer one in two of three."""
        made = []
        for n in range(num):
            long, short = f"good {'x' * 50}", "good"
            a, b = (f"About {n}: {long} !", f"About {n}: {short}")
            made.append(comparison(*((a, b) if n % 3 else (f"{a[:-1]}", f"{b} !")), prompt=f"Tell of {n}."))
        return made

    @staticmethod
    def sees_worth(prompt: str, first: str, second: str) -> str:
        topic = prompt.removeprefix("Tell of ").removesuffix(".")
        worths = [
            (f"About {topic}:" in t) * (1 + ("!" in t)) * (t.count("About") == 1) for t in (first, second)
        ]
        return "tie" if worths[0] == worths[1] else "first" if worths[0] > worths[1] else "second"

    def test_longer_wins_because_longer_is_better(self) -> None:
        run = self.lengthy()
        people = [vote(one, "a" if "!" in one.completion_a[0].content else "b") for one in run]
        judge = FunctionJudge(self.sees_worth)
        with_votes = card_of(judge, run, people)
        assert "length_bias" not in found(with_votes)
        assert with_votes.as_dict()["longer_win_rate_interval_95"][0] > 0.5
        without = card_of(judge, run)
        assert "length_bias" not in found(without)
        assert any("cannot be told without votes" in warning for warning in without.warnings)

    def test_own_family_wins_because_it_is_better(self) -> None:
        run = [comparison(f"fine {n}", f"poor {n}", f"Why {n}?", ("gpt-4o", "llama-3")) for n in range(30)]
        verdicts = [given(one, "a") for one in run]
        judge = FunctionJudge(self.sees_worth, models=("gpt-4.1",))
        people = [vote(one, "a") for one in run]
        assert "family_bias" not in found(judge_card(verdicts, [], votes=people, judge=judge, seed=0))
        (finding,) = judge_card(verdicts, [], votes=[], judge=judge, seed=0).findings
        assert finding.name == "family_bias"
        assert "Nothing here tells favour from merit" in finding.what

    def test_without_generators_there_is_no_family_figure(self) -> None:
        judge = FunctionJudge(self.sees_worth, models=("gpt-4.1",))
        figures = card_of(judge, self.lengthy(6)).as_dict()
        assert figures["family_preference"] is None
        assert "nobody knows" in figures["family_preference_reason"]

    def test_few_comparisons_show_little_and_the_card_says_so(self) -> None:
        card = card_of(scripted("honest"), SCENE[:2], votes_on(SCENE[:2]))
        assert found(card) == []
        assert any("too few" in warning or "unknown" in warning for warning in card.warnings)
        assert "No difference is shown" in card.sentences[0]


class TestHeadline:
    def test_withheld_unless_forced(self) -> None:
        withheld = card_of(scripted("longer")).as_dict()
        assert withheld["headline"] is None
        assert "padded_copy" in withheld["withheld_because"]
        assert withheld["sentences"][0] == withheld["withheld_because"]
        forced = card_of(scripted("longer"), force=True).as_dict()
        assert forced["headline"]["win_rate"] is not None
        assert forced["withheld_because"] is None
        assert forced["forced"] is True
        assert forced["trusted"] is False
        assert card_of(scripted("honest"), force=True).as_dict()["forced"] is False

    def test_of_two_models_whichever_side_each_stood_on(self) -> None:
        """own-writer: a win as `a`, a win as `b`, a loss: 2 of 3."""
        models = ("own-writer", "other-writer")
        run = [comparison(f"yes {n}", f"no {n}", f"{n}?", models) for n in range(3)]
        run[1] = turned(run[1])
        verdicts = [given(run[0], "a"), given(run[1], "b"), given(run[2], "b")]
        headline = judge_card(verdicts, [], votes=[], judge=scripted("honest"), seed=0).as_dict()["headline"]
        assert (headline["side"], headline["against"]) == models
        assert headline["win_rate"] == pytest.approx(2 / 3)
        assert headline["sentence"].startswith("No difference is shown: own-writer")

    def test_of_unknown_models(self) -> None:
        verdicts = [given(comparison(f"yes {n}", f"no {n}", f"{n}?"), "a") for n in range(3)]
        headline = judge_card(verdicts, [], votes=[], judge=scripted("honest"), seed=0).as_dict()["headline"]
        assert (headline["side"], headline["against"], headline["win_rate"]) == ("a", "b", 1)

    def test_more_than_two_models_are_ranked(self) -> None:
        run = [
            comparison(f"{a} {n}", f"{b} {n}", f"{a}{b}{n}?", (a, b))
            for a, b in (("ant", "bee"), ("bee", "cow"), ("ant", "cow"))
            for n in range(10)
        ]
        verdicts = [given(one, "b" if n % 5 == 0 else "a") for n, one in enumerate(run)]
        headline = judge_card(verdicts, [], votes=[], judge=scripted("honest"), seed=0).as_dict()["headline"]
        assert [player["name"] for player in headline["ranking"]["players"]] == ["ant", "bee", "cow"]
        assert headline["win_rate"] is None
        nothing = [replace(verdict, preferred=None) for verdict in verdicts]
        words = judge_card(nothing, [], votes=[], judge=scripted("honest"), seed=0).as_dict()["headline"]
        assert "every verdict is missing" in words["sentence"]


class TestJuries:
    def test_every_juror_has_a_card_of_its_own(self) -> None:
        jury = Jury([scripted("honest"), scripted("honest-2"), scripted("always-first")])
        figures = card_of(jury, votes=votes_on(SCENE)).as_dict()
        assert [card["judge"] for card in figures["judges"]] == ["honest", "honest-2", "always-first"]
        assert [bool(card["findings"]) for card in figures["judges"]] == [False, False, True]
        assert figures["judges"][2]["canaries"]["null_answer"]["passed"] is False
        assert figures["canaries"]["null_answer"]["passed"] is True
        assert figures["num_both_orders"] == 180
        assert figures["position_flip_rate"] == pytest.approx(1 / 3)
        assert figures["krippendorff_alpha"] < 1
        assert figures["headline"] is not None
        assert any(warning.startswith("Juror always-first: position_bias") for warning in figures["warnings"])

    def test_without_votes_a_juror_is_held_against_the_others(self) -> None:
        jury = Jury([scripted("honest"), scripted("honest-2"), scripted("own-family")])
        own = card_of(jury).as_dict()["judges"][2]
        assert own["family_excess"]["against"] == "jurors"
        assert own["family_excess"]["interval_95"][0] > 0.1
        assert "more than the other jurors do" in own["findings"][0]["what"]

    @pytest.mark.parametrize("others", [["longer"], ["longer", "longer-2"], ["longer", "random"]])
    def test_an_honest_juror_is_not_accused_of_what_the_others_do(self, others: list[str]) -> None:
        """It leans to shorter answers less than they do to longer ones, and to neither by itself."""
        figures = card_of(Jury([scripted("honest"), *map(scripted, others)])).as_dict()
        honest, longer = figures["judges"][:2]
        assert honest["findings"] == []
        assert "length_bias" in [finding["name"] for finding in longer["findings"]]
        assert (honest["length_excess"] is None) == (len(others) == 1)

    def test_what_was_never_asked_for_is_no_silence_of_the_judge(self) -> None:
        call = JudgeCall("a", None, "not_asked")

        class Spent:
            name, models = "spent", ("m",)

            def judge(self, comparisons: Sequence[Comparison], watcher: object = None) -> list[Verdict]:
                return [Verdict(one, "spent", None, "not_asked", calls=(call, call)) for one in comparisons]

        alone = card_of(Spent()).as_dict()
        assert (alone["missing_reasons"], found(card_of(Spent()))) == ({"not_asked": 60}, [])
        jury = card_of(Jury([scripted("honest"), Spent()])).as_dict()
        assert (jury["missing_reasons"], jury["findings"]) == ({"not_asked": 60}, [])
        assert jury["judges"][1]["findings"] == []

    def test_no_quorum_is_counted(self) -> None:
        jury = Jury([scripted("honest"), FunctionJudge(lambda *_: None, name="silent")])
        figures = card_of(jury).as_dict()
        assert figures["missing_reasons"] == {"no_quorum": 60}
        assert figures["judges"][1]["missing_reasons"] == {"unparsed": 60}


def test_names_that_scripts_rely_on() -> None:
    for figures in (
        card_of(scripted("honest")).as_dict(),
        judge_card([], [], votes=[], judge=scripted("x"), seed=0).as_dict(),
    ):
        assert set(NAMES) <= set(figures)
        json.dumps(figures, allow_nan=False)


def test_nothing_judged_and_nothing_asked() -> None:
    figures = judge_card([], [], votes=[], judge=scripted("honest"), seed=0).as_dict()
    assert (figures["num_asked"], figures["trusted"], figures["kappa"]) == (0, False, None)
    assert "Nothing was judged." in figures["warnings"]
    assert any("No canary was asked" in warning for warning in figures["warnings"])


def test_agreement_by_hand() -> None:
    """The judge and people agree on 3 of the 4 that both judged.

    A vote on the swapped comparison counts as what it means, `both_bad` as a tie.
    """
    run = [comparison(f"yes {n}", f"no {n}", f"{n}?") for n in range(5)]
    verdicts = [given(one, said) for one, said in zip(run, ["a", "b", "tie", "a", None], strict=True)]
    people = [
        vote(turned(run[0]), "b"),
        vote(run[1], "b"),
        vote(run[2], "both_bad"),
        vote(run[3], "b"),
        vote(run[4], "a"),
    ]
    figures = judge_card(verdicts, [], votes=people, judge=scripted("honest"), seed=0).as_dict()
    assert (figures["num_common"], figures["observed_agreement"]) == (4, 0.75)


texts = st.text(max_size=8)
looks = st.sampled_from(["a", "b", "tie", None])
rows = st.lists(
    st.tuples(
        st.integers(0, 5),
        texts,
        texts,
        looks,
        looks,
        st.sampled_from([(None, None), ("gpt-4", "llama-3"), ("llama-3", "gpt-4")]),
        st.sampled_from(["a", "b", "tie", "both_bad", None]),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=25)
@over(rows)
def test_swapping_a_and_b_changes_nothing_but_the_headlines_side(found_rows: list[Any]) -> None:
    judge = FunctionJudge(lambda *_: "tie", models=("gpt-4o",))
    verdicts, people = [], []
    for prompt, a, b, a_first, b_first, models, said in found_rows:
        one = comparison(a, b, f"Why {prompt}?", models)
        verdicts.append(both_orders(one, a_first, b_first))
        if said:
            people.append(vote(one, said))
    there = judge_card(verdicts, [], votes=people, judge=judge, seed=0).as_dict()
    back = judge_card([turned_verdict(v) for v in verdicts], [], votes=people, judge=judge, seed=0).as_dict()
    heads = [there.pop("headline"), back.pop("headline")]
    there["sentences"], back["sentences"] = there["sentences"][1:], back["sentences"][1:]
    assert there == back
    json.dumps(there, allow_nan=False)
    rates = [head["win_rate"] for head in heads]
    if rates[0] is not None:
        assert rates[1] == pytest.approx(1 - rates[0])


@settings(deadline=None, max_examples=20)
@over(st.lists(st.tuples(texts, texts, looks), min_size=1, max_size=6))
def test_the_same_twice_is_no_more_evidence(found_rows: list[Any]) -> None:
    verdicts = [both_orders(comparison(a, b, f"{n}?"), x, x) for n, (a, b, x) in enumerate(found_rows)]
    judge = FunctionJudge(lambda *_: "tie")
    once = judge_card(verdicts, [], votes=[], judge=judge, seed=0).as_dict()
    twice = judge_card(verdicts * 2, [], votes=[], judge=judge, seed=0).as_dict()
    assert twice["num_distinct"] == once["num_distinct"]
    for name in ("position_flip_rate", "longer_win_rate"):
        assert twice[name] == once[name]
    narrow, wide = twice["position_flip_interval_95"], once["position_flip_interval_95"]
    if narrow is not None:
        assert narrow[1] - narrow[0] >= wide[1] - wide[0] - 1e-9


_MAKE_A_CARD = """
import json, sys
sys.path[:0] = sys.argv[1:]
from test_judge_card import SCENE, card_of, scripted, votes_on
from palate.judge.jury import Jury
jury = Jury([scripted(name) for name in ("honest", "random", "longer", "own-family")], "dawid_skene")
print(json.dumps(card_of(jury, SCENE[:20], votes_on(SCENE[:12])).as_dict()))
"""


def test_ten_runs_give_the_same_bytes() -> None:
    """Two processes that hash strings differently, and eight runs within one."""
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    cards = {
        subprocess.run(
            [sys.executable, "-c", _MAKE_A_CARD, *folders],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(cards) == 1
    votes = votes_on(SCENE[:12])
    within = {json.dumps(card_of(scripted("random"), SCENE[:20], votes).as_dict()) for _ in range(8)}
    assert len(within) == 1


def test_foreign_text_stays_what_it_is() -> None:
    """Half an emoji, a right-to-left mark, markup and a null are text like any other."""
    strange = "\ud83d \u202e[bold]<script>\x00 标题"
    one = Comparison(
        (Message("user", strange),),
        (Message("assistant", strange),),
        (Message("assistant", ""),),
        Provenance("x"),
    )
    card = card_of(FunctionJudge(lambda *_: "first", name=strange, models=(strange,)), [one])
    json.dumps(card.as_dict(), allow_nan=False)
    assert isinstance(card.as_dict()["canaries"]["null_answer"]["examples"], list)
