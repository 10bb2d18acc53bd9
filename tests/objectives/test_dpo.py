"""DPO's loss: numbers by hand, its gradient, its properties."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from palate.objectives import PairLogps, dpo_loss
from palate.recipe import DPO

LN_2 = math.log(2)
logp = st.floats(-200, 0)
beta = st.floats(0.01, 2)


def pairs(
    chosen: list[float], rejected: list[float], ref_chosen: list[float], ref_rejected: list[float]
) -> PairLogps:
    def tensor(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)

    ones = torch.ones(len(chosen), dtype=torch.long)
    return PairLogps(
        chosen=tensor(chosen),
        rejected=tensor(rejected),
        reference_chosen=tensor(ref_chosen),
        reference_rejected=tensor(ref_rejected),
        chosen_lengths=ones,
        rejected_lengths=ones,
    )


def loss_of(*logps: float, **options: Any) -> float:
    """The loss of one pair: chosen, rejected, reference chosen, reference rejected."""
    c, r, rc, rr = logps
    return dpo_loss(pairs([c], [r], [rc], [rr]), DPO(**options)).item()


def test_by_hand() -> None:
    """chosen -10, reference -12: log-ratio +2. rejected -9, reference -6: log-ratio -3. Margin 5.

    beta 0.2: logit 1. loss = -log sigmoid(1) = log(1 + e^-1) = log 1.36787944 = 0.31326169.
    The pair the other way round: logit -1, loss = log(1 + e) = log 3.71828183 = 1.31326169.
    """
    losses = dpo_loss(pairs([-10, -9], [-9, -10], [-12, -6], [-6, -12]), DPO(beta=0.2))
    assert losses.tolist() == pytest.approx([0.31326169, 1.31326169], abs=1e-8)


def test_label_smoothing_by_hand() -> None:
    """The pair above with e = 0.25: 0.75 * 0.31326169 + 0.25 * 1.31326169 = 0.56326169."""
    assert loss_of(-10, -9, -12, -6, beta=0.2, label_smoothing=0.25) == pytest.approx(0.56326169, abs=1e-8)


def test_smoothed_loss_is_least_at_its_finite_margin() -> None:
    """d/dm [-(1-e) log s(bm) - e log s(-bm)] = b (s(bm) - (1-e)) = 0 at m = log((1-e)/e) / b."""
    best = math.log(0.9 / 0.1) / 0.5
    at_best = loss_of(best, 0, 0, 0, beta=0.5, label_smoothing=0.1)
    assert at_best < loss_of(best - 0.01, 0, 0, 0, beta=0.5, label_smoothing=0.1)
    assert at_best < loss_of(best + 0.01, 0, 0, 0, beta=0.5, label_smoothing=0.1)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_gradient(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    chosen, rejected, ref_chosen, ref_rejected = (
        (30 * torch.randn(6, generator=generator, dtype=torch.float64)) for _ in range(4)
    )
    lengths = torch.ones(6)

    def loss(chosen: Tensor, rejected: Tensor) -> Tensor:
        logps = PairLogps(
            chosen=chosen,
            rejected=rejected,
            reference_chosen=ref_chosen,
            reference_rejected=ref_rejected,
            chosen_lengths=lengths,
            rejected_lengths=lengths,
        )
        return dpo_loss(logps, DPO(beta=0.1, label_smoothing=smoothing))

    assert torch.autograd.gradcheck(loss, (chosen.requires_grad_(), rejected.requires_grad_()))


@given(logp, logp, st.floats(0, 0.49), beta)
def test_no_margin_costs_ln_2(c: float, r: float, smoothing: float, beta: float) -> None:
    assert loss_of(c, r, c, r, beta=beta, label_smoothing=smoothing) == pytest.approx(LN_2, rel=1e-12)


@given(logp, logp, logp, logp, st.floats(-50, 50), beta)
def test_what_both_sides_gain_cancels(
    c: float, r: float, rc: float, rr: float, shift: float, beta: float
) -> None:
    plain = loss_of(c, r, rc, rr, beta=beta)
    assert loss_of(c + shift, r + shift, rc, rr, beta=beta) == pytest.approx(plain, rel=1e-6, abs=1e-9)


@given(logp, logp, logp, logp, beta)
def test_swapping_the_pair_flips_the_logit(c: float, r: float, rc: float, rr: float, beta: float) -> None:
    """log s(x) - log s(-x) = x: the two losses differ by the logit."""
    logit = beta * ((c - rc) - (r - rr))
    difference = loss_of(r, c, rr, rc, beta=beta) - loss_of(c, r, rc, rr, beta=beta)
    assert difference == pytest.approx(logit, rel=1e-9, abs=1e-9)


@given(logp, logp, logp, logp, st.floats(0, 0.49), beta)
def test_is_cross_entropy_with_a_soft_label(
    c: float, r: float, rc: float, rr: float, smoothing: float, beta: float
) -> None:
    """An implementation that shares nothing with ours: torch's cross-entropy with the label 1 - e."""
    logit = torch.tensor(beta * ((c - rc) - (r - rr)), dtype=torch.float64)
    expected = binary_cross_entropy_with_logits(logit, torch.tensor(1 - smoothing, dtype=torch.float64))
    assert loss_of(c, r, rc, rr, beta=beta, label_smoothing=smoothing) == pytest.approx(
        expected.item(), rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", [-1e6, -1e3, 1e3, 1e6])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_finite_at_extremes(dtype: torch.dtype, margin: float, smoothing: float) -> None:
    """-log sigmoid(-x) is x for large x: a naive log(sigmoid) would be infinite from x = 104 on in fp32."""
    zero, ones = torch.zeros(1, dtype=dtype), torch.ones(1)
    chosen = torch.full((1,), margin, dtype=dtype, requires_grad=True)
    logps = PairLogps(
        chosen=chosen,
        rejected=zero,
        reference_chosen=zero,
        reference_rejected=zero,
        chosen_lengths=ones,
        rejected_lengths=ones,
    )
    loss = dpo_loss(logps, DPO(beta=1, label_smoothing=smoothing))
    wrong_share = smoothing if margin > 0 else 1 - smoothing
    assert loss.item() == pytest.approx(wrong_share * abs(margin), rel=1e-6)
    loss.sum().backward()
    assert chosen.grad is not None
    expected = smoothing if margin > 0 else smoothing - 1
    assert chosen.grad.item() == pytest.approx(expected, abs=1e-6)
    assert loss.dtype == dtype
