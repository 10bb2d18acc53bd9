"""What the options of pair objectives refuse, and what they tell the loop."""

from __future__ import annotations

import pytest
from pair_batches import PAIR_NAMES

from palate.errors import RecipeError
from palate.recipe import DPO, MPO, OBJECTIVES, SFT, dump_recipe, parse_recipe


def recipe(objective: str) -> str:
    return f"output: runs/x\nobjective: {objective}\n"


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ("{type: dpo, smoothing: robust}", 'smoothing = "robust" has no effect with label_smoothing = 0'),
        (
            "{type: dpo, divergence_alpha: 0.3}",
            'divergence_alpha has no effect with divergence = "reverse_kl"',
        ),
        (
            "{type: dpo, divergence: forward_kl, divergence_alpha: 0.3}",
            'divergence_alpha has no effect with divergence = "forward_kl"',
        ),
        ("{type: dpo, divergence: alpha_divergence}", "needs divergence_alpha, between 0 and 1"),
        ("{type: dpo, divergence: alpha_divergence, divergence_alpha: 0}", "greater than 0"),
        ("{type: dpo, divergence: alpha_divergence, divergence_alpha: 1}", "less than 1"),
        ("{type: dpo, logps: mean, ld_alpha: 0.5}", "two ways to take length out"),
        ("{type: dpo, logps: mean, divergence: js_divergence}", "defined on whole completions"),
        ("{type: dpo, ld_alpha: 1}", "less than 1"),
        ("{type: dpo, label_smoothing: 0.5}", "less than 0.5"),
        ("{type: exo, label_smoothing: 0}", "greater than 0"),
        ("{type: rpo, nll_weight: 0}", "greater than 0"),
        ("{type: dpop, penalty: 0}", "greater than 0"),
        ("{type: discopop, tau: 1.5}", "less than or equal to 1"),
        ("{type: simpo, gamma: -1}", "greater than or equal to 0"),
        ("{type: hinge, label_smoothing: 0.1}", "not an option of hinge"),
        ("{type: aot, weighting: wpo}", "not an option of aot"),
        ("{type: sft, weighting: wpo}", "not an option of sft"),
        ("{type: sft, beta: 0.1}", "not an option of sft"),
        ("{type: mpo, beta: 0.1}", "not an option of mpo"),
        ("{type: mpo, terms: [{objective: {type: dpo}}]}", "at least 2 items"),
        ("{type: mpo, terms: [{objective: {type: dpo}}, {objective: {type: dpo}}]}", "add up their weights"),
        (
            "{type: mpo, terms: [{objective: {type: mpo}}, {objective: {type: dpo}}]}",
            '"mpo": not an objective',
        ),
        (
            "{type: mpo, terms: [{objective: {type: kto}}, {objective: {type: dpo}}]}",
            '"kto": not an objective',
        ),
        ("{type: mpo, terms: [{objective: {type: simp}}, {objective: {type: ipo}}]}", 'Did you mean "simpo"'),
        ("{type: mpo, terms: [{weight: 0, objective: {type: sft}}, {objective: {type: dpo}}]}", "than 0"),
    ],
)
def test_what_would_have_no_effect_is_refused(objective: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said.replace("(", r"\(")):
        parse_recipe(recipe(objective))


@pytest.mark.parametrize("name", PAIR_NAMES)
def test_a_recipe_written_out_reads_back(name: str) -> None:
    read = parse_recipe(recipe(f"{{type: {name}}}"))
    assert parse_recipe(dump_recipe(read)) == read
    assert read.objective == OBJECTIVES[name]()


@pytest.mark.parametrize("name", PAIR_NAMES)
def test_rewards_are_in_units_of_beta(name: str) -> None:
    if "beta" in OBJECTIVES[name].model_fields:
        assert OBJECTIVES[name](beta=0.7).reward_scale == 0.7
    else:
        assert name in ("mpo", "sft")


def test_what_an_option_asks_of_the_loop() -> None:
    assert DPO(weighting="wpo").needs_collision
    assert not DPO().needs_collision
    assert DPO(ld_alpha=0.0).needs_public_length
    assert not DPO().needs_public_length


def mixture(*terms: str) -> MPO:
    objective = parse_recipe(recipe(f"{{type: mpo, terms: [{', '.join(terms)}]}}")).objective
    assert isinstance(objective, MPO)
    return objective


def test_a_mixture_asks_for_what_any_of_its_terms_does() -> None:
    asks = (
        "needs_reference",
        "needs_rejected",
        "takes_margin",
        "couples_batch",
        "needs_reward_shift",
        "needs_public_length",
        "needs_collision",
    )
    cases = {
        "{objective: {type: cpo}}": {"needs_rejected", "takes_margin"},
        "{objective: {type: orpo}}": {"needs_rejected"},
        "{objective: {type: aot}}": {"needs_reference", "needs_rejected", "couples_batch"},
        "{objective: {type: bco_pair}}": {"needs_reference", "needs_rejected", "needs_reward_shift"},
        "{objective: {type: nca, weighting: wpo}}": {"needs_reference", "needs_rejected", "needs_collision"},
        "{objective: {type: dpo, ld_alpha: 0.5}}": {
            "needs_reference",
            "needs_rejected",
            "takes_margin",
            "needs_public_length",
        },
    }
    for term, expected in cases.items():
        for both in (mixture(term, "{objective: {type: sft}}"), mixture("{objective: {type: sft}}", term)):
            assert {name for name in asks if getattr(both, name)} == expected


def test_a_mixtures_rewards_are_those_of_its_first_term_with_two_sides() -> None:
    sft, dpo, ipo = (f"{{objective: {{type: {t}}}}}" for t in ("sft", "dpo, beta: 0.2", "ipo, beta: 0.3"))
    assert mixture(sft, dpo, ipo).reward_scale == 0.2
    assert mixture(ipo, dpo, sft).reward_scale == 0.3


def test_the_default_mixture_is_the_published_one() -> None:
    assert [(term.weight, term.objective.type) for term in MPO().terms] == [
        (0.8, "dpo"),
        (0.2, "bco_pair"),
        (1.0, "sft"),
    ]
    assert MPO().terms[2].objective == SFT()
