"""BCO's loss: a classifier of labels, and how it bounds DPO."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

from palate.objectives import LabelLogps, PairLogps, bco_loss, dpo_loss
from palate.recipe import BCO, DPO

log_ratio = st.floats(-60, 60)
shift = st.floats(-10, 10)
beta = st.floats(0.01, 2)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def bco(log_ratio: float, desirable: bool, shift: float, beta: float = 0.1) -> float:
    batch = LabelLogps(
        logps=tensor(log_ratio),
        lengths=torch.ones(1),
        desirable=torch.tensor([desirable]),
        reference=tensor(0),
        reward_shift=tensor(shift)[0],
    )
    return bco_loss(batch, BCO(beta=beta)).item()


@given(log_ratio, st.booleans(), shift, beta)
def test_is_cross_entropy_of_the_label(log_ratio: float, desirable: bool, shift: float, beta: float) -> None:
    """An implementation that shares nothing with ours."""
    expected = binary_cross_entropy_with_logits(tensor(beta * log_ratio - shift), tensor(float(desirable)))
    assert bco(log_ratio, desirable, shift, beta) == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)


@given(st.booleans(), beta)
def test_the_first_step_costs_ln_2(desirable: bool, beta: float) -> None:
    assert bco(0, desirable, 0, beta) == pytest.approx(math.log(2), rel=1e-12)


@given(log_ratio, log_ratio, shift, beta)
def test_bounds_the_dpo_loss_of_the_pair(chosen: float, rejected: float, shift: float, beta: float) -> None:
    """s(a) s(b) <= s(a + b), here with a + b = beta * margin whatever the shift (theorem 1 of the paper)."""
    ones = torch.ones(1)
    pair = PairLogps(
        chosen=tensor(chosen),
        rejected=tensor(rejected),
        reference_chosen=tensor(0),
        reference_rejected=tensor(0),
        chosen_lengths=ones,
        rejected_lengths=ones,
    )
    bound = bco(chosen, True, shift, beta) + bco(rejected, False, shift, beta)
    assert bound >= dpo_loss(pair, DPO(beta=beta)).item() - 1e-12


@given(st.floats(-20, 20), st.floats(-20, 20), beta)
def test_the_bound_is_tightest_midway(chosen: float, rejected: float, beta: float) -> None:
    """-log s(a - d) - log s(-(b - d)) is least at d = (a + b) / 2: why the shift is a mean reward."""
    best = beta * (chosen + rejected) / 2

    def bound(shift: float) -> float:
        return bco(chosen, True, shift, beta) + bco(rejected, False, shift, beta)

    assert bound(best) <= min(bound(best - 0.1), bound(best + 0.1))


@given(log_ratio, shift, beta)
def test_the_other_label_flips_the_logit(log_ratio: float, shift: float, beta: float) -> None:
    difference = bco(log_ratio, False, shift, beta) - bco(log_ratio, True, shift, beta)
    assert difference == pytest.approx(beta * log_ratio - shift, rel=1e-9, abs=1e-9)
