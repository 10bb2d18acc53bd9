"""Each rule sees its fault in a real run that has it, says so with figures, and is silent on a near miss."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty_runs import Workshop, by_chance, longer, marked, respaced, turned, with_odd_ones
from told_evidence import evidence_by_case

from palate.evaluate.diagnosis import RULES, Diagnosis, Finding, diagnose_run


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("faults"))


def other_reference(shop: Workshop) -> Path:
    return shop.run(
        "other_reference", marked(40), f"reference.model={shop.base(1)}", num_steps=4, learning_rate=1e-3
    )


def named_reference(shop: Workshop) -> Path:
    """The recipe names the reference, and it is the base."""
    copy = shop.folder / "copy"
    if not copy.exists():
        shutil.copytree(shop.base(), copy)
    return shop.run("named_reference", marked(40), f"reference.model={copy}", num_steps=4, learning_rate=1e-3)


def still(shop: Workshop) -> Path:
    return shop.run("still", marked(40), num_steps=14, learning_rate=1e-10)


def slow(shop: Workshop) -> Path:
    return shop.run("slow", marked(100), num_steps=40, learning_rate=3e-5)


def wild(shop: Workshop) -> Path:
    return shop.run("wild", by_chance(200), "model.adapter=null", num_steps=40, learning_rate=0.3)


def odd_rows(shop: Workshop) -> Path:
    rows = with_odd_ones(marked(200), 20, 90, 150)
    return shop.run("odd_rows", rows, "train.batch_size=2", num_steps=60, learning_rate=1e-3)


def unbound(shop: Workshop) -> Path:
    """Next to nothing holds the model to its reference."""
    rows = marked(200, flipped=0.2)
    return shop.run(
        "unbound", rows, "objective.beta=0.01", "model.adapter=null", num_steps=60, learning_rate=0.01
    )


def easy(shop: Workshop) -> Path:
    return shop.run("easy", marked(250), "objective.beta=1", num_steps=46, learning_rate=1e-2)


def learnt_out(shop: Workshop) -> Path:
    return shop.run("learnt_out", marked(60), "objective.beta=3", num_steps=60, learning_rate=3e-2)


def long_wins(shop: Workshop) -> Path:
    return shop.run("long_wins", longer(240), num_steps=45, learning_rate=1e-2)


def by_heart(shop: Workshop) -> Path:
    return shop.run(
        "by_heart",
        by_chance(160),
        "objective.beta=1",
        "train.epochs=50",
        "data.eval_fraction=0.5",
        num_steps=160,
        learning_rate=1e-2,
    )


def flipped(shop: Workshop) -> Path:
    rows = marked(400, flipped=0.35)
    return shop.run(
        "flipped", rows, "data.eval_fraction=0.5", "train.evaluate_every=25", num_steps=50, learning_rate=1e-2
    )


def turned_round(shop: Workshop) -> Path:
    return shop.run(
        "turned_round", marked(120), num_steps=24, learning_rate=1e-2, held_out=turned(marked(60, seed=9))
    )


def leaked(shop: Workshop) -> Path:
    """Pairs learnt by heart, and held out once more under prompts that a space makes others."""
    rows = by_chance(80)
    return shop.run(
        "leaked",
        rows,
        "objective.beta=1",
        "train.epochs=40",
        "train.evaluate_every=40",
        num_steps=160,
        learning_rate=1e-2,
        held_out=respaced(rows),
    )


def thrown(shop: Workshop, objective: str) -> Path:
    """Steps far too large: away at once."""
    return shop.run(
        f"thrown-{objective}",
        marked(60),
        f"objective.type={objective}",
        "model.adapter=null",
        "data.eval_fraction=0.1",
        num_steps=22,
        learning_rate=1.0,
    )


def chance(shop: Workshop) -> Path:
    return shop.run("chance", by_chance(240), "data.eval_fraction=0.5", num_steps=28, learning_rate=3e-3)


def sound(shop: Workshop) -> Path:
    """Noisy as people's labels are, learnt in one pass, measured on enough."""
    return shop.run(
        "sound", marked(400, flipped=0.1), "data.eval_fraction=0.5", num_steps=45, learning_rate=3e-3
    )


FAULTS: list[tuple[str, Callable[[Workshop], Path]]] = [
    ("wrong_reference", other_reference),
    ("adapter_not_moving", still),
    ("learning_rate_high", wild),
    ("learning_rate_low", slow),
    ("gradient_spikes", odd_rows),
    ("kl_runaway", unbound),
    ("accuracy_one_early", easy),
    ("loss_at_zero", learnt_out),
    ("both_rewards_falling", unbound),
    ("length_exploitation", long_wins),
    ("over_optimisation", by_heart),
    ("validation_worse_than_train", by_heart),
    ("noisy_labels", flipped),
    ("preference_not_learnt", turned_round),
    ("evaluation_leaked", leaked),
    ("evaluation_too_small", still),
]

NEAR_MISSES: list[tuple[str, Callable[[Workshop], Path]]] = [
    ("wrong_reference", named_reference),
    ("adapter_not_moving", slow),
    ("learning_rate_high", unbound),
    ("learning_rate_low", still),
    ("gradient_spikes", slow),
    ("kl_runaway", easy),
    ("accuracy_one_early", by_heart),
    ("loss_at_zero", sound),
    ("both_rewards_falling", easy),
    ("length_exploitation", odd_rows),
    ("over_optimisation", slow),
    ("validation_worse_than_train", flipped),
    ("noisy_labels", by_heart),
    ("preference_not_learnt", flipped),
    ("evaluation_leaked", by_heart),
    ("evaluation_too_small", flipped),
]


def findings(found: Diagnosis, rule: str) -> list[Finding]:
    return [finding for finding in found.findings if finding.rule == rule]


def test_every_rule_has_a_fault_and_a_near_miss() -> None:
    assert [name for name, _ in FAULTS] == [name for name, _ in NEAR_MISSES] == list(RULES)


@pytest.mark.parametrize(("rule", "make"), FAULTS, ids=[name for name, _ in FAULTS])
def test_a_fault_is_seen(shop: Workshop, rule: str, make: Callable[[Workshop], Path]) -> None:
    found = diagnose_run(make(shop))
    seen = findings(found, rule)
    assert seen, (rule, found.not_applicable.get(rule), [f.rule for f in found.findings])
    assert all(_is_well_said(finding.as_dict()) for finding in seen)
    assert rule in found.rules_checked


@pytest.mark.parametrize(("rule", "make"), NEAR_MISSES, ids=[name for name, _ in NEAR_MISSES])
def test_a_near_miss_is_not(shop: Workshop, rule: str, make: Callable[[Workshop], Path]) -> None:
    found = diagnose_run(make(shop))
    assert not findings(found, rule)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_seeds_change_nothing_of_it(tmp_path: Path, seed: int) -> None:
    """Adapter and order of the data are drawn anew; what is wrong, and what is not, stays."""
    other = Workshop(tmp_path, seed)
    unseen = [rule for rule, make in FAULTS if not findings(diagnose_run(make(other)), rule)]
    imagined = [rule for rule, make in NEAR_MISSES if findings(diagnose_run(make(other)), rule)]
    assert (unseen, imagined) == ([], [])


def _is_well_said(finding: dict[str, Any]) -> bool:
    """A sentence with a figure in it, and evidence that is plain JSON."""
    figures = [value for value in finding["evidence"].values() if isinstance(value, int | float)]
    return (
        finding["sentence"].endswith(".")
        and any(character.isdigit() for character in finding["sentence"])
        and bool(figures)
        and all(math.isfinite(value) for value in figures)
        and list(finding["evidence"]) == list(evidence_by_case()[finding["rule"], finding["case"]])
        and "?" not in finding["sentence"]
        and bool(finding["meaning"] and finding["remedy"] and finding["recipe_key"])
    )


def test_a_sound_run_has_nothing_but_its_size_said_of_it(shop: Workshop) -> None:
    assert [finding.rule for finding in diagnose_run(sound(shop)).findings] == []


def test_the_reference_is_named_with_what_it_cost(shop: Workshop) -> None:
    """Step 1 has rewards and a loss that no fresh DPO run has: ln 2 is 0.693."""
    (seen,) = findings(diagnose_run(other_reference(shop)), "wrong_reference")
    assert (seen.severity, seen.sure, seen.step) == ("warning", "certain", 1)
    assert seen.evidence["expected_loss"] == pytest.approx(math.log(2), rel=1e-5)
    assert abs(float(seen.evidence["loss"] or 0) - math.log(2)) > 0.01
    assert float(seen.evidence["rms_log_ratio_per_token"] or 0) > 0.1
    assert seen.recipe_key == "reference.model"


def test_over_optimisation_names_the_step_that_the_run_keeps(shop: Workshop) -> None:
    found = diagnose_run(by_heart(shop))
    (seen,) = findings(found, "over_optimisation")
    assert seen.step == seen.recipe_value == found.best_step
    assert float(seen.evidence["loss_at_end"] or 0) > float(seen.evidence["loss_at_best"] or 0)


def test_the_implied_share_of_flipped_labels_is_about_the_one_that_was_planted(shop: Workshop) -> None:
    """35% were flipped; 200 pairs tell it to within 7 points, and what was not learnt adds to it."""
    (seen,) = findings(diagnose_run(flipped(shop)), "noisy_labels")
    assert 0.26 <= float(seen.evidence["implied_flip_rate"] or 0) <= 0.46
    assert seen.recipe_key == "objective.label_smoothing"


def test_the_odd_rows_steps_are_named(shop: Workshop) -> None:
    (seen,) = findings(diagnose_run(odd_rows(shop)), "gradient_spikes")
    assert seen.evidence["num_spikes"] in (1, 2, 3)
    assert f"at step {seen.step} its norm" in seen.sentence


def test_labels_turned_round_are_told_from_labels_by_chance(shop: Workshop) -> None:
    (seen,) = findings(diagnose_run(turned_round(shop)), "preference_not_learnt")
    assert (seen.severity, seen.sure) == ("error", "certain")
    assert "against their labels" in seen.sentence


def test_a_slow_run_is_told_a_larger_rate_of_which_it_would_have_learnt(shop: Workshop) -> None:
    (seen,) = findings(diagnose_run(slow(shop)), "learning_rate_low")
    assert seen.recipe_key == "train.learning_rate"
    assert 6e-5 <= float(seen.recipe_value) <= 3e-4


@pytest.mark.parametrize(("objective", "case"), [("dpo", "far"), ("simpo", "less_likely")])
def test_a_model_that_is_thrown_away_is_told_with_a_reference_or_without(
    shop: Workshop, objective: str, case: str
) -> None:
    (seen,) = findings(diagnose_run(thrown(shop, objective)), "kl_runaway")
    assert (seen.case, seen.severity, seen.recipe_key) == (case, "error", "train.learning_rate")
    assert _is_well_said(seen.as_dict())


def test_sides_that_nothing_tells_apart_are_not_learnt(shop: Workshop) -> None:
    """On 120 prompts an accuracy near 50% is known to 9 points: under 60% or not, it may be a coin's."""
    (seen,) = findings(diagnose_run(chance(shop)), "preference_not_learnt")
    assert (seen.case, seen.severity) in {("coin", "error"), ("not_shown", "warning")}


def test_what_is_told_against_length_ends_it(shop: Workshop) -> None:
    (seen,) = findings(diagnose_run(long_wins(shop)), "length_exploitation")
    remedy = f"{seen.recipe_key}={seen.recipe_value}"
    cured = shop.run("cured", longer(240), remedy, num_steps=45, learning_rate=1e-2)
    assert remedy == "objective.ld_alpha=0.0"
    assert not findings(diagnose_run(cured), "length_exploitation")
