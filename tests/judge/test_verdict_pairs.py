"""Training pairs from verdicts: only clear preferences, each with what it rests on."""

from __future__ import annotations

import pytest
from judging_scene import comparisons

from palate.judge.programmatic import ScorerJudge
from palate.judge.verdict_pairs import pairs_from_verdicts
from palate.records import Comparison, Verdict

A, B, TIE, FLIPPED, MISSING = range(5)


def five_verdicts() -> list[Verdict]:
    a, b, tie, flipped, missing = comparisons(5)
    return [
        Verdict(a, "j", "a"),
        Verdict(b, "j", "b", detail={"score_a": 1.0, "score_b": 2.0}),
        Verdict(tie, "j", "tie"),
        Verdict(flipped, "j", "tie", flipped=True),
        Verdict(missing, "j", None, "truncated"),
    ]


def test_every_verdict_becomes_a_pair_or_is_counted() -> None:
    verdicts = five_verdicts()
    made = pairs_from_verdicts(verdicts)
    assert [(p.chosen, p.rejected) for p in made.pairs] == [
        (verdicts[A].comparison.completion_a, verdicts[A].comparison.completion_b),
        (verdicts[B].comparison.completion_b, verdicts[B].comparison.completion_a),
    ]
    assert made.as_dict() == {
        "num_verdicts": 5, "num_pairs": 2, "num_ties": 1, "num_flipped": 1, "num_missing": 1,
        "num_repeated": 0, "num_conflicting": 0,
    }  # fmt: skip


def test_its_lineage_names_judge_verdict_and_both_generators() -> None:
    verdicts = five_verdicts()
    origin = verdicts[B].comparison.provenance
    detail = pairs_from_verdicts(verdicts).pairs[1].provenance.detail
    assert (detail["judge"], detail["verdict"]) == ("j", verdicts[B].comparison.id)
    assert (detail["chosen_generator"], detail["rejected_generator"]) == (
        origin.detail["b"]["model"], origin.detail["a"]["model"],
    )  # fmt: skip
    assert (detail["chosen_score"], detail["rejected_score"]) == (2.0, 1.0)
    assert "a" not in detail


def test_a_comparison_makes_one_pair_whoever_judged_it_how_often() -> None:
    """The same preference is repeated, the opposite one conflicts: also with the sides the other way."""
    (one,) = comparisons(1)
    turned = Comparison(one.prompt, one.completion_b, one.completion_a, one.provenance)
    made = pairs_from_verdicts([Verdict(one, "j", "a"), Verdict(turned, "k", "b"), Verdict(turned, "k", "a")])
    assert (len(made.pairs), made.num_repeated, made.num_conflicting) == (1, 1, 1)
    assert made.pairs[0].chosen == one.completion_a


@pytest.mark.parametrize(("spec", "sign"), [("shorter", -1), ("longer", 1)])
def test_a_function_judges(spec: str, sign: int) -> None:
    found = comparisons(30)
    judge = ScorerJudge(spec)
    for comparison, verdict in zip(found, judge.judge(found), strict=True):
        longer = len(comparison.completion_a[0].content) - len(comparison.completion_b[0].content)
        assert verdict.preferred == ("tie" if longer == 0 else "a" if longer * sign > 0 else "b")
    assert (judge.name, judge.models) == (spec, ())
