"""Palate's losses without a reference against those of trl's CPO and ORPO trainers, by running their code.

As in test_trl_parity.py: `get_batch_loss_metrics` and what it calls are trl's own, called unbound, with a
stand-in for the trainer and a "model" that hands back given logits.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

from palate.objectives import PairLogps, objective_for
from palate.recipe import CPO, ORPO, Objective, SimPO

NUM_PAIRS, LONGEST, VOCABULARY = 5, 7, 11


class Batch:
    """Random tokens and logits of pairs, with a prompt of `prompt` tokens before each completion."""

    def __init__(self, seed: int, *, prompt: int = 1, length: int | None = None) -> None:
        generator = torch.Generator().manual_seed(seed)
        num, width = 2 * NUM_PAIRS, prompt + LONGEST
        self.lengths = torch.randint(1, LONGEST + 1, (num,), generator=generator)
        if length is not None:
            self.lengths = torch.full_like(self.lengths, length)
        self.tokens = torch.randint(0, VOCABULARY, (num, width), generator=generator)
        self.logits = 3 * torch.randn(num, width, VOCABULARY, generator=generator, dtype=torch.float64)
        position = torch.arange(width)
        self.present = position < prompt + self.lengths[:, None]
        self.scored = self.present & (position >= prompt)

    @property
    def logps(self) -> PairLogps:
        per_token = self.logits[:, :-1].log_softmax(-1).gather(-1, self.tokens[:, 1:, None])[..., 0]
        chosen, rejected = (per_token * self.scored[:, 1:]).sum(1).chunk(2)
        chosen_lengths, rejected_lengths = self.lengths.chunk(2)
        return PairLogps(
            chosen=chosen,
            rejected=rejected,
            chosen_lengths=chosen_lengths,
            rejected_lengths=rejected_lengths,
        )

    def as_trl_has_it(self) -> dict[str, Tensor]:
        labels = self.tokens.masked_fill(~self.scored, -100)
        both = {"input_ids": self.tokens, "labels": labels, "attention_mask": self.present.long()}
        return {
            f"{side}_{name}": half
            for name, values in both.items()
            for side, half in zip(("chosen", "rejected"), values.chunk(2), strict=True)
        }


def same(value: Tensor) -> Tensor:
    return value


def trl_loss(kind: Any, batch: Batch, **settings: Any) -> float:
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(device=torch.device("cpu"), gather_for_metrics=same),
        is_encoder_decoder=False,
        aux_loss_enabled=False,
        pad_token_id=0,
        padding_value=0,
        alpha=0.0,
        label_smoothing=0.0,
        concatenated_inputs=kind.concatenated_inputs,
        get_batch_logps=kind.get_batch_logps,
        **settings,
    )
    for name in ("concatenated_forward", "cpo_loss", "odds_ratio_loss"):
        if hasattr(kind, name):
            setattr(trainer, name, partial(getattr(kind, name), trainer))
    loss, _ = kind.get_batch_loss_metrics(
        trainer, lambda *_, **__: SimpleNamespace(logits=batch.logits), batch.as_trl_has_it()
    )
    return loss.item()


def mean_loss(options: Objective, batch: Batch) -> float:
    return objective_for(options)(batch.logps).mean().item()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_simpo_equals_trls(beta: float, seed: int) -> None:
    batch = Batch(seed, prompt=3)
    expected = trl_loss(CPOTrainer, batch, loss_type="simpo", cpo_alpha=0, beta=beta, simpo_gamma=0.7)
    assert mean_loss(SimPO(beta=beta, gamma=0.7), batch) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_cpo_equals_trls_without_likelihood(seed: int) -> None:
    batch = Batch(seed, prompt=3)
    expected = trl_loss(CPOTrainer, batch, loss_type="sigmoid", cpo_alpha=0, beta=0.3)
    assert mean_loss(CPO(beta=0.3, nll_weight=0), batch) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_cpo_equals_trls_for_completions_of_one_length(seed: int) -> None:
    batch = Batch(seed, prompt=3, length=4)
    expected = trl_loss(CPOTrainer, batch, loss_type="sigmoid", cpo_alpha=0.7, beta=0.3)
    assert mean_loss(CPO(beta=0.3, nll_weight=0.7), batch) == pytest.approx(expected, abs=1e-9)


def test_trls_cpo_weighs_the_tokens_of_a_batch_and_ours_the_pairs() -> None:
    """The difference stated in `cpo_loss`."""
    batch = Batch(0, prompt=3)
    expected = trl_loss(CPOTrainer, batch, loss_type="sigmoid", cpo_alpha=1.0, beta=0.3)
    assert abs(mean_loss(CPO(beta=0.3), batch) - expected) > 1e-2


@pytest.mark.parametrize("seed", range(3))
def test_orpo_equals_trls_for_completions_of_one_length_after_one_token(seed: int) -> None:
    """After a prompt of one token, which nothing predicts, trl has no prompt to count. It uses float32."""
    batch = Batch(seed, prompt=1, length=4)
    expected = trl_loss(ORPOTrainer, batch, beta=0.3)
    assert mean_loss(ORPO(beta=0.3), batch) == pytest.approx(expected, abs=1e-6)


def test_trls_orpo_also_learns_the_prompt() -> None:
    """The difference stated in `orpo_loss`."""
    batch = Batch(0, prompt=3, length=4)
    expected = trl_loss(ORPOTrainer, batch, beta=0.3)
    assert abs(mean_loss(ORPO(beta=0.3), batch) - expected) > 1e-2
