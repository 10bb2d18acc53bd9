"""Losses on labels and scores against those of trl, by running trl's own loss code.

As in test_trl_parity.py: `_compute_loss` and `compute_loss` are called unbound, on a stand-in that holds the
settings they read, with a "model" that hands back given numbers. trl has no loss for rankings.
"""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import trl
from torch import Tensor

from palate.objectives import LabelLogps, PairScores, objective_for
from palate.recipe import BCO, KTO, APOZeroUnpaired, BradleyTerry, Objective

NUM, LENGTH = 8, 6


def same(value: Tensor) -> Tensor:
    return value


ACCELERATOR = SimpleNamespace(device=torch.device("cpu"), gather=same, gather_for_metrics=same)


class Labelled:
    """Random per-token log-probabilities of labelled completions, and of as many mismatched ones."""

    def __init__(self, seed: int, drift: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(seed)

        def random(*shape: int) -> Tensor:
            return -4 * torch.rand(shape, generator=generator, dtype=torch.float64)

        self.per_token, self.reference = random(NUM, LENGTH), random(NUM, LENGTH).sum(1)
        self.mismatched, self.mismatched_reference = random(NUM), random(NUM) - drift
        self.desirable = torch.randperm(NUM, generator=generator) < 3

    @property
    def kl(self) -> Tensor:
        return (self.mismatched - self.mismatched_reference).mean().clamp(min=0)

    def logps(self, **more: Tensor) -> LabelLogps:
        return LabelLogps(
            logps=self.per_token.sum(1),
            lengths=torch.full((NUM,), LENGTH),
            desirable=self.desirable,
            reference=self.reference,
            **more,
        )


def trl_kto(batch: Labelled, loss_type: str, **settings: float) -> float:
    zeros = torch.zeros_like(batch.per_token)
    outputs = SimpleNamespace(log_probs=batch.per_token, entropy=zeros, mean_logits=zeros)
    ids = torch.ones(NUM, LENGTH + 1, dtype=torch.long)
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=ACCELERATOR,
        aux_loss_enabled=False,
        precompute_ref_logps=True,
        calculate_KL=loss_type == "kto",
        loss_type=loss_type,
        beta=settings.get("beta", 0.1),
        desirable_weight=settings.get("desirable_weight", 1.0),
        undesirable_weight=settings.get("undesirable_weight", 1.0),
        _compute_kl_logps=lambda model, inputs: batch.mismatched,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    inputs = {
        "input_ids": ids,
        "attention_mask": ids,
        "completion_mask": ids,
        "label": batch.desirable,
        "ref_logps": batch.reference,
        "ref_KL_logps": batch.mismatched_reference,
    }
    return trl.KTOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, False).item()


def trl_bco_pair(log_ratios: Tensor, beta: float) -> float:
    """trl's `bco_pair` of one pair whose log-ratios are these, chosen first."""
    per_token = torch.cat([log_ratios[:, None], torch.zeros(2, 1, dtype=torch.float64)], dim=1)
    outputs = SimpleNamespace(
        log_probs=per_token,
        entropy=torch.zeros_like(per_token),
        mean_logits=torch.zeros_like(per_token),
        is_top1=torch.zeros_like(per_token).bool(),
    )
    mask = torch.tensor([[0, 1, 1]] * 2)
    nothing = torch.zeros(1, dtype=torch.float64)
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=ACCELERATOR,
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=["bco_pair"],
        loss_weights=[1.0],
        use_weighting=False,
        beta=beta,
        label_smoothing=0.0,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    inputs = {
        "input_ids": torch.zeros_like(mask),
        "attention_mask": torch.ones_like(mask),
        "completion_mask": mask,
        "ref_chosen_logps": nothing,
        "ref_rejected_logps": nothing,
    }
    return trl.DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, False).item()


def trl_reward(scores: PairScores, center_coefficient: float | None) -> float:
    logits = torch.cat([scores.chosen, scores.rejected])[:, None]
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=ACCELERATOR,
        args=SimpleNamespace(center_rewards_coefficient=center_coefficient),
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    inputs: dict[str, Any] = {"attention_mask": torch.ones(1)}
    if scores.target_margin is not None:
        inputs["margin"] = scores.target_margin

    def model(attention_mask: Tensor, use_cache: bool, margin: Tensor | None = None) -> SimpleNamespace:
        return SimpleNamespace(logits=logits)

    return trl.RewardTrainer.compute_loss(trainer, model, inputs).item()


def mean_loss(options: Objective, inputs: Any) -> float:
    return objective_for(options)(inputs).mean().item()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("drift", [-9, 0, 9])
def test_kto_equals_trls(seed: int, drift: float) -> None:
    batch = Labelled(seed, drift)
    settings = {"beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.7}
    assert (batch.kl > 0) == (drift > 0) or drift == 0
    expected = trl_kto(batch, "kto", **settings)
    assert mean_loss(KTO(**settings), batch.logps(kl=batch.kl)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_apo_zero_unpaired_equals_trls(seed: int) -> None:
    batch = Labelled(seed)
    settings = {"beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.7}
    expected = trl_kto(batch, "apo_zero_unpaired", **settings)
    assert mean_loss(APOZeroUnpaired(**settings), batch.logps()) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shift", [-2.0, 0.0, 0.8])
def test_bco_equals_trls_with_the_same_shift(shift: float) -> None:
    """trl 1.16 has BCO on pairs alone, and no shift: log-ratios lowered by shift / beta bring one in."""
    beta = 0.3
    log_ratios = torch.tensor([2.0, -5.0], dtype=torch.float64)
    expected = trl_bco_pair(log_ratios - shift / beta, beta)
    both = LabelLogps(
        logps=log_ratios,
        lengths=torch.ones(2),
        desirable=torch.tensor([True, False]),
        reference=torch.zeros(2, dtype=torch.float64),
        reward_shift=torch.tensor(shift, dtype=torch.float64),
    )
    assert objective_for(BCO(beta=beta))(both).sum().item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("with_margin", [False, True])
@pytest.mark.parametrize("coefficient", [None, 0.02])
def test_reward_equals_trls(seed: int, with_margin: bool, coefficient: float | None) -> None:
    generator = torch.Generator().manual_seed(seed)
    chosen, rejected, margin = (
        3 * torch.randn(7, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    scores = PairScores(chosen=chosen, rejected=rejected, target_margin=margin.abs() if with_margin else None)
    options = BradleyTerry(center_coefficient=coefficient or 0.0)
    assert mean_loss(options, scores) == pytest.approx(trl_reward(scores, coefficient), abs=1e-9)
