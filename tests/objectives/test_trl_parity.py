"""Palate's losses against those of trl, by running trl's own loss code.

trl computes its losses inside `DPOTrainer._compute_loss`, which wants a trainer and a model. The method is
called here unbound, with a stand-in for each: the "model" hands back given per-token log-probabilities, the
"trainer" holds nothing but the settings that the method reads. So all arithmetic compared with is trl's own.
"""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from palate.objectives import PairLogps, implicit_rewards, objective_for
from palate.recipe import DPO, IPO, SFT, ObjectiveOptions

trl = pytest.importorskip("trl")

PROMPT, LONGEST = 3, 9


class Batch:
    """Random per-token log-probabilities of pairs whose completions have random lengths."""

    def __init__(self, num_pairs: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        shape = (2 * num_pairs, LONGEST)
        lengths = torch.randint(1, LONGEST + 1, (2 * num_pairs, 1), generator=generator)
        self.mask = torch.arange(LONGEST) < lengths
        self.per_token = -torch.rand(shape, generator=generator, dtype=torch.float64) * 4 * self.mask
        self.reference = -torch.rand(shape, generator=generator, dtype=torch.float64) * 4 * self.mask

    @property
    def logps(self) -> PairLogps:
        chosen, rejected = self.per_token.sum(1).chunk(2)
        reference_chosen, reference_rejected = self.reference.sum(1).chunk(2)
        chosen_lengths, rejected_lengths = self.mask.sum(1).chunk(2)
        return PairLogps(
            chosen=chosen,
            rejected=rejected,
            reference_chosen=reference_chosen,
            reference_rejected=reference_rejected,
            chosen_lengths=chosen_lengths,
            rejected_lengths=rejected_lengths,
        )


def trl_loss(batch: Batch, loss_type: str, **settings: Any) -> tuple[float, dict[str, float]]:
    """trl's loss of the batch, and the metrics it logs."""

    def same(value: Tensor) -> Tensor:
        return value

    zeros = torch.zeros_like(batch.per_token)
    # Before the completion stand the prompt's tokens; position t scores token t + 1.
    before = torch.zeros(len(zeros), PROMPT, dtype=torch.long)
    completion_mask = torch.cat([before, batch.mask.long()], dim=1)
    padding = zeros[:, : PROMPT - 1]
    outputs = SimpleNamespace(
        log_probs=torch.cat([padding, batch.per_token], dim=1),
        entropy=torch.cat([padding, zeros], dim=1),
        mean_logits=torch.cat([padding, zeros], dim=1),
        is_top1=torch.cat([padding, zeros], dim=1).bool(),
    )
    reference_chosen, reference_rejected = batch.reference.sum(1).chunk(2)
    inputs = {
        "input_ids": torch.zeros_like(completion_mask),
        "attention_mask": torch.ones_like(completion_mask),
        "completion_mask": completion_mask,
        "ref_chosen_logps": reference_chosen,
        "ref_rejected_logps": reference_rejected,
    }
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(device=torch.device("cpu"), gather=same, gather_for_metrics=same),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=[loss_type],
        loss_weights=[1.0],
        use_weighting=False,
        beta=settings.get("beta", 0.1),
        label_smoothing=settings.get("label_smoothing", 0.0),
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    loss = trl.DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, False)
    return loss.item(), {name: values[-1] for name, values in trainer._metrics["train"].items() if values}


def reduced(options: ObjectiveOptions, logps: PairLogps) -> float:
    """Our loss of a batch, reduced as the contract has it."""
    num = len(logps.chosen) if options.normalise_by == "examples" else logps.chosen_lengths.sum().item()
    return objective_for(options)(logps).sum().item() / num


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


@pytest.mark.parametrize("seed", range(5))
def test_ipo_per_token_equals_trls(seed: int) -> None:
    batch = Batch(7, seed)
    expected, _ = trl_loss(batch, "ipo", beta=0.3)
    assert reduced(IPO(beta=0.3, logps="mean"), batch.logps) == pytest.approx(expected, abs=1e-9)


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
