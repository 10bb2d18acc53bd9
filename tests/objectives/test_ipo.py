"""IPO's loss: numbers by hand, its gradient, its properties."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from palate.objectives import PairLogps, ipo_loss
from palate.recipe import IPO

logp = st.floats(-200, 0)
beta = st.floats(0.01, 2)


def loss_of(*logps: float, lengths: tuple[int, int] = (1, 1), **options: Any) -> float:
    """The loss of one pair: chosen, rejected, reference chosen, reference rejected."""
    c, r, rc, rr = (torch.tensor([value], dtype=torch.float64) for value in logps)
    pair = PairLogps(
        chosen=c,
        rejected=r,
        reference_chosen=rc,
        reference_rejected=rr,
        chosen_lengths=torch.tensor([lengths[0]]),
        rejected_lengths=torch.tensor([lengths[1]]),
    )
    return ipo_loss(pair, IPO(**options)).item()


def test_sum_by_hand() -> None:
    """Log-ratios +2 and -3: margin 5. beta 0.25: target 1 / 0.5 = 2. (5 - 2)^2 = 9."""
    assert loss_of(-10, -9, -12, -6, beta=0.25) == pytest.approx(9)


def test_mean_by_hand() -> None:
    """The same over 4 and 6 tokens: 2/4 - (-3/6) = 1. Target 2. (1 - 2)^2 = 1."""
    assert loss_of(-10, -9, -12, -6, lengths=(4, 6), beta=0.25, logps="mean") == pytest.approx(1)


def test_the_sum_does_not_look_at_lengths() -> None:
    assert loss_of(-10, -9, -12, -6, lengths=(4, 6), beta=0.25) == pytest.approx(9)


def test_mean_of_nothing_is_nothing() -> None:
    """Without scored tokens the log-ratio is 0, not 0/0: 0 - (-3/6) = 0.5, (0.5 - 2)^2 = 2.25."""
    assert loss_of(0, -9, 0, -6, lengths=(0, 6), beta=0.25, logps="mean") == pytest.approx(2.25)


@given(beta)
def test_least_at_its_target(beta: float) -> None:
    """Zero at the margin 1 / (2 beta), and (1 / (2 beta))^2 where policy and reference agree."""
    assert loss_of(1 / (2 * beta), 0, 0, 0, beta=beta) == pytest.approx(0, abs=1e-20)
    assert loss_of(-3, -4, -3, -4, beta=beta) == pytest.approx(1 / (4 * beta**2))


@given(logp, logp, logp, logp, st.floats(-50, 50), beta)
def test_what_both_sides_gain_cancels(
    c: float, r: float, rc: float, rr: float, shift: float, beta: float
) -> None:
    plain = loss_of(c, r, rc, rr, beta=beta)
    assert loss_of(c + shift, r + shift, rc, rr, beta=beta) == pytest.approx(plain, rel=1e-6, abs=1e-6)


@given(logp, logp, logp, logp, beta, st.sampled_from(["sum", "mean"]))
def test_swapping_the_pair_flips_the_margin(
    c: float, r: float, rc: float, rr: float, beta: float, logps: str
) -> None:
    """(-m - t)^2 - (m - t)^2 = 4 m t with t = 1 / (2 beta)."""
    one_way = loss_of(c, r, rc, rr, lengths=(5, 5), beta=beta, logps=logps)
    other_way = loss_of(r, c, rr, rc, lengths=(5, 5), beta=beta, logps=logps)
    margin = ((c - rc) - (r - rr)) / (1 if logps == "sum" else 5)
    assert other_way - one_way == pytest.approx(2 * margin / beta, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("logps", ["sum", "mean"])
def test_gradient(logps: str) -> None:
    generator = torch.Generator().manual_seed(0)
    chosen, rejected, ref_chosen, ref_rejected = (
        (30 * torch.randn(6, generator=generator, dtype=torch.float64)) for _ in range(4)
    )
    lengths = torch.arange(1, 7)

    def loss(chosen: Tensor, rejected: Tensor) -> Tensor:
        pair = PairLogps(
            chosen=chosen,
            rejected=rejected,
            reference_chosen=ref_chosen,
            reference_rejected=ref_rejected,
            chosen_lengths=lengths,
            rejected_lengths=lengths.flip(0),
        )
        return ipo_loss(pair, IPO.model_validate({"logps": logps}))

    assert torch.autograd.gradcheck(loss, (chosen.requires_grad_(), rejected.requires_grad_()))


@pytest.mark.parametrize("margin", [-1e6, 1e6])
def test_finite_at_extremes(margin: float) -> None:
    assert loss_of(margin, 0, 0, 0, beta=0.1) == pytest.approx((margin - 5) ** 2)
