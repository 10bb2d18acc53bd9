"""Palate's losses against those of trl, by running trl's own loss code.

trl computes its losses inside `DPOTrainer._compute_loss`, which wants a trainer and a model. The method is
called here unbound, with a stand-in for each: the "model" hands back given per-token log-probabilities, the
"trainer" holds nothing but the settings that the method reads. So all arithmetic compared with is trl's own.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import trl
from torch import Tensor

from palate.objectives import PairLogps, implicit_rewards, objective_for
from palate.recipe import DPO, IPO, MPO, OBJECTIVES, RPO, SFT, BCOPair, Objective

PROMPT, LONGEST = 3, 9


class Batch:
    """Random per-token log-probabilities of pairs whose completions have random lengths, or all one."""

    def __init__(self, num_pairs: int, seed: int, *, length: int | None = None) -> None:
        generator = torch.Generator().manual_seed(seed)
        shape = (2 * num_pairs, LONGEST)
        lengths = torch.randint(1, LONGEST + 1, (2 * num_pairs, 1), generator=generator)
        if length is not None:
            lengths = torch.full_like(lengths, length)
        self.mask = torch.arange(LONGEST) < lengths

        def random() -> Tensor:
            return -torch.rand(shape, generator=generator, dtype=torch.float64) * 4 * self.mask

        self.per_token, self.reference, self.log_collision = random(), random(), random()

    @property
    def lengths(self) -> Tensor:
        return self.mask.sum(1)

    def public(self, per_token: Tensor) -> tuple[Tensor, ...]:
        """The sums over as many tokens as the shorter side has."""
        chosen_lengths, rejected_lengths = self.lengths.chunk(2)
        shorter = torch.minimum(chosen_lengths, rejected_lengths).repeat(2)[:, None]
        return (per_token * (torch.arange(LONGEST) < shorter)).sum(1).chunk(2)

    @property
    def logps(self) -> PairLogps:
        chosen, rejected = self.per_token.sum(1).chunk(2)
        reference_chosen, reference_rejected = self.reference.sum(1).chunk(2)
        chosen_lengths, rejected_lengths = self.lengths.chunk(2)
        chosen_collision, rejected_collision = (self.log_collision.sum(1) / self.lengths).chunk(2)
        chosen_public, rejected_public = self.public(self.per_token)
        reference_chosen_public, reference_rejected_public = self.public(self.reference)
        return PairLogps(
            chosen=chosen,
            rejected=rejected,
            reference_chosen=reference_chosen,
            reference_rejected=reference_rejected,
            chosen_lengths=chosen_lengths,
            rejected_lengths=rejected_lengths,
            reward_shift=torch.tensor(0.0, dtype=torch.float64),
            chosen_log_collision=chosen_collision,
            rejected_log_collision=rejected_collision,
            chosen_public=chosen_public,
            rejected_public=rejected_public,
            reference_chosen_public=reference_chosen_public,
            reference_rejected_public=reference_rejected_public,
        )


def trl_loss(
    batch: Batch, *loss_types: str, dtype: torch.dtype = torch.float64, **settings: Any
) -> tuple[float, dict[str, float]]:
    """trl's loss of the batch, and the metrics it logs."""

    def same(value: Tensor) -> Tensor:
        return value

    zeros = torch.zeros_like(batch.per_token)
    # Before the completion stand the prompt's tokens; position t scores token t + 1.
    before = torch.zeros(len(zeros), PROMPT, dtype=torch.long)
    completion_mask = torch.cat([before, batch.mask.long()], dim=1)

    def outputs(per_token: Tensor) -> SimpleNamespace:
        padding = zeros[:, : PROMPT - 1].to(dtype)
        return SimpleNamespace(
            log_probs=torch.cat([padding, per_token.to(dtype)], dim=1),
            log_sum_sq_probs=torch.cat([padding, batch.log_collision.to(dtype)], dim=1),
            entropy=torch.cat([padding, zeros], dim=1),
            mean_logits=torch.cat([padding, zeros], dim=1),
            is_top1=torch.cat([padding, zeros], dim=1).bool(),
        )

    inputs = {
        "input_ids": torch.zeros_like(completion_mask),
        "attention_mask": torch.ones_like(completion_mask),
        "completion_mask": completion_mask,
    }
    model = torch.nn.Module()
    model.is_gradient_checkpointing = False
    trainer = SimpleNamespace(
        model=model,
        ref_model=lambda **_: outputs(batch.reference),
        accelerator=SimpleNamespace(device=torch.device("cpu"), gather=same, gather_for_metrics=same),
        args=SimpleNamespace(
            gradient_checkpointing_kwargs=None, discopop_tau=settings.get("discopop_tau", 0.05)
        ),
        aux_loss_enabled=False,
        ld_alpha=settings.get("ld_alpha"),
        precompute_ref_logps=False,
        f_divergence_type=settings.get("f_divergence_type", "reverse_kl"),
        f_alpha_divergence_coef=settings.get("f_alpha_divergence_coef", 0.5),
        loss_types=list(loss_types),
        loss_weights=settings.get("loss_weights", [1.0]),
        use_weighting=settings.get("use_weighting", False),
        beta=settings.get("beta", 0.1),
        label_smoothing=settings.get("label_smoothing", 0.0),
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    loss = trl.DPOTrainer._compute_loss(trainer, lambda **_: outputs(batch.per_token), inputs, False)
    return loss.item(), {name: values[-1] for name, values in trainer._metrics["train"].items() if values}


def reduced(options: Objective, logps: PairLogps) -> float:
    """Our loss of a batch, reduced as the contract has it."""
    num = len(logps.chosen) if options.normalise_by == "examples" else logps.chosen_lengths.sum().item()
    return objective_for(options)(logps).sum().item() / num


SAME: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("ipo", {"logps": "mean"}, "ipo", {}),
    ("hinge", {}, "hinge", {}),
    ("nca", {}, "nca_pair", {}),
    ("bco_pair", {}, "bco_pair", {}),  # where the shift is 0
    ("sppo_hard", {}, "sppo_hard", {}),
    ("aot", {}, "aot", {}),
    ("aot", {"label_smoothing": 0.2}, "aot", {"label_smoothing": 0.2}),
    ("aot_unpaired", {}, "aot_unpaired", {}),
    ("aot_unpaired", {"label_smoothing": 0.2}, "aot_unpaired", {"label_smoothing": 0.2}),
    ("apo_zero", {}, "apo_zero", {}),
    ("apo_down", {}, "apo_down", {}),
    ("discopop", {}, "discopop", {}),
    ("discopop", {"tau": 0.5}, "discopop", {"discopop_tau": 0.5}),
    ("dpo", {"logps": "mean"}, "sigmoid_norm", {}),
    ("dpo", {"divergence": "forward_kl"}, "sigmoid", {"f_divergence_type": "forward_kl"}),
    ("dpo", {"divergence": "js_divergence"}, "sigmoid", {"f_divergence_type": "js_divergence"}),
    ("dpo", {"ld_alpha": 0.4}, "sigmoid", {"ld_alpha": 0.4}),
    ("dpo", {"ld_alpha": 0.0}, "sigmoid", {"ld_alpha": 0.0}),
    ("dpo", {"label_smoothing": 0.2, "smoothing": "robust"}, "robust", {"label_smoothing": 0.2}),
]
"""Our objective and its options, and what trl calls them."""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("beta", [0.02, 0.3, 1.0])
@pytest.mark.parametrize(("name", "options", "trls", "settings"), SAME, ids=[f"{n}-{o}" for n, o, *_ in SAME])
def test_equals_trls(
    name: str, options: dict[str, Any], trls: str, settings: dict[str, Any], beta: float, seed: int
) -> None:
    batch = Batch(7, seed)
    expected, _ = trl_loss(batch, trls, beta=beta, **settings)
    found = reduced(OBJECTIVES[name](beta=beta, **options), batch.logps)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_exo_equals_trls(seed: int) -> None:
    """trl takes the logarithm of its label smoothing in float32, whatever the rest is in."""
    batch = Batch(7, seed)
    expected, _ = trl_loss(batch, "exo_pair", label_smoothing=0.01)
    assert reduced(OBJECTIVES["exo"](label_smoothing=0.01), batch.logps) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_alpha_divergence_equals_trls_with_one_minus_its_alpha(seed: int) -> None:
    """trl clamps its exponents, for three dtypes of which float64 is none: so in float32."""
    batch = Batch(7, seed)
    settings = {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 1 - 0.3}
    expected, _ = trl_loss(batch, "sigmoid", dtype=torch.float32, **settings)
    options = DPO(divergence="alpha_divergence", divergence_alpha=0.3)
    assert reduced(options, batch.logps) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["dpo", "hinge", "ipo"])
def test_weighting_equals_trls_where_no_weight_is_above_1(name: str, seed: int) -> None:
    batch = Batch(7, seed)
    batch.log_collision /= 100  # near 0: the policy's own samples would be certain
    expected, _ = trl_loss(batch, {"dpo": "sigmoid"}.get(name, name), use_weighting=True)
    logps = {"logps": "mean"} if name == "ipo" else {}
    options = OBJECTIVES[name](weighting="wpo", **logps)
    assert reduced(options, batch.logps) == pytest.approx(expected, abs=1e-9)


def test_trl_lets_weights_grow_above_1() -> None:
    """The difference stated in `wpo_weights`."""
    batch = Batch(7, 0)
    batch.log_collision *= 10
    expected, _ = trl_loss(batch, "sigmoid", use_weighting=True)
    plain = reduced(DPO(), batch.logps)
    assert expected > 2 * plain
    assert reduced(DPO(weighting="wpo"), batch.logps) == pytest.approx(plain, rel=1e-12)


def test_trl_shifts_no_reward_of_bco() -> None:
    """The difference stated in `bco_pair_loss`: after the first step rewards are compared with their mean."""
    batch = Batch(7, 0)
    expected, _ = trl_loss(batch, "bco_pair")
    shifted = dataclasses.replace(batch.logps, reward_shift=torch.tensor(0.5, dtype=torch.float64))
    assert abs(reduced(BCOPair(), shifted) - expected) > 1e-2


def test_trls_discopop_is_lost_where_ours_is_finite() -> None:
    """The difference stated in `discopop_loss`: 0 times an overflow."""
    batch = Batch(1, 0, length=5)
    batch.per_token[0] *= 2000
    expected, _ = trl_loss(batch, "discopop", beta=1.0)
    assert expected != expected
    assert math.isfinite(reduced(OBJECTIVES["discopop"](beta=1.0), batch.logps))


MIXTURE = MPO()


@pytest.mark.parametrize("seed", range(3))
def test_sums_with_sft_equal_trls_for_completions_of_one_length(seed: int) -> None:
    batch = Batch(7, seed, length=5)
    expected, _ = trl_loss(batch, "sigmoid", "sft", loss_weights=[1.0, 0.7])
    assert reduced(RPO(nll_weight=0.7), batch.logps) == pytest.approx(expected, abs=1e-9)
    expected, _ = trl_loss(batch, "sigmoid", "bco_pair", "sft", loss_weights=[0.8, 0.2, 1.0])
    assert reduced(MIXTURE, batch.logps) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("options", [RPO(), MIXTURE], ids=["rpo", "mpo"])
def test_trls_likelihood_of_a_pair_depends_on_the_others_and_ours_does_not(options: Objective) -> None:
    """The difference stated in `rpo_loss` and `mpo_loss`: the mean over the batch's tokens, or a pair's."""
    settings = [term.weight for term in MIXTURE.terms] if options is MIXTURE else [1.0, 1.0]
    types = ("sigmoid", "bco_pair", "sft") if options is MIXTURE else ("sigmoid", "sft")
    batch = Batch(7, 0)
    batch.per_token[0] *= 10  # the longest completion's tokens are the dearest
    expected, _ = trl_loss(batch, *types, loss_weights=settings)
    assert abs(reduced(options, batch.logps) - expected) > 1e-2
    alone = [reduced(options, batch_of_one(batch, i).logps) for i in range(7)]
    assert reduced(options, batch.logps) == pytest.approx(sum(alone) / 7, rel=1e-12)
    trls_alone = [trl_loss(batch_of_one(batch, i), *types, loss_weights=settings)[0] for i in range(7)]
    assert reduced(options, batch.logps) == pytest.approx(sum(trls_alone) / 7, rel=1e-9)


def batch_of_one(batch: Batch, i: int) -> Batch:
    one = copy.copy(batch)
    for name in ("mask", "per_token", "reference", "log_collision"):
        setattr(one, name, getattr(batch, name)[[i, i + len(batch.mask) // 2]])
    return one


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("beta", [0.02, 0.1, 1.0])
def test_dpo_equals_trls_sigmoid(seed: int, beta: float) -> None:
    batch = Batch(7, seed)
    expected, _ = trl_loss(batch, "sigmoid", beta=beta)
    assert reduced(DPO(beta=beta), batch.logps) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_smoothed_dpo_equals_trls_formula_of_it(seed: int) -> None:
    """trl has the conservative formula in "aot", which sorts the batch first; one pair is sorted already."""
    batch = Batch(1, seed)
    expected, _ = trl_loss(batch, "aot", label_smoothing=0.2)
    assert reduced(DPO(label_smoothing=0.2), batch.logps) == pytest.approx(expected, abs=1e-9)


def test_trl_ignores_label_smoothing_where_we_do_not() -> None:
    """The difference stated in `dpo_loss`; should trl mend it, this test says so."""
    batch = Batch(7, 0)
    plain, _ = trl_loss(batch, "sigmoid")
    smoothed, _ = trl_loss(batch, "sigmoid", label_smoothing=0.2)
    assert smoothed == plain
    assert abs(reduced(DPO(label_smoothing=0.2), batch.logps) - plain) > 1e-3


def test_ipo_as_the_paper_writes_it_is_another_loss() -> None:
    """The other difference: whole completions by default, so trl's figure is not ours."""
    batch = Batch(7, 0)
    expected, _ = trl_loss(batch, "ipo", beta=0.3)
    assert abs(reduced(IPO(beta=0.3), batch.logps) - expected) > 1e-2


@pytest.mark.parametrize("seed", range(5))
def test_sft_equals_trls(seed: int) -> None:
    batch = Batch(7, seed)
    expected, _ = trl_loss(batch, "sft")
    assert reduced(SFT(), batch.logps) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_rewards_equal_trls(seed: int) -> None:
    batch = Batch(7, seed)
    _, logged = trl_loss(batch, "sigmoid", beta=0.3)
    chosen, rejected = implicit_rewards(batch.logps, 0.3)
    assert rejected is not None
    assert chosen.mean().item() == pytest.approx(logged["rewards/chosen"], abs=1e-9)
    assert rejected.mean().item() == pytest.approx(logged["rewards/rejected"], abs=1e-9)
    assert (chosen - rejected).mean().item() == pytest.approx(logged["rewards/margins"], abs=1e-9)
    assert (chosen > rejected).double().mean().item() == pytest.approx(logged["rewards/accuracies"], abs=1e-7)
