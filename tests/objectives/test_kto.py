"""KTO's loss and its variant anchored at zero: what each completion is measured against."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from palate.objectives import LabelLogps, apo_zero_unpaired_loss, kto_loss
from palate.recipe import KTO, APOZeroUnpaired

log_ratio = st.floats(-60, 60)
kl = st.floats(0, 30)
beta = st.floats(0.01, 2)


def labelled(log_ratio: float, desirable: bool, kl: float | None = None) -> LabelLogps:
    return LabelLogps(
        logps=torch.tensor([log_ratio], dtype=torch.float64),
        lengths=torch.ones(1),
        desirable=torch.tensor([desirable]),
        reference=torch.zeros(1, dtype=torch.float64),
        kl=None if kl is None else torch.tensor(kl, dtype=torch.float64),
    )


def kto(log_ratio: float, desirable: bool, kl: float, beta: float = 0.1) -> float:
    return kto_loss(labelled(log_ratio, desirable, kl), KTO(beta=beta)).item()


@given(kl, beta, st.booleans())
def test_at_the_reference_point_it_is_half(kl: float, beta: float, desirable: bool) -> None:
    assert kto(kl, desirable, kl, beta) == 0.5


@given(log_ratio, kl, beta)
def test_what_is_desirable_costs_what_the_opposite_gains(log_ratio: float, kl: float, beta: float) -> None:
    """1 - s(x) and 1 - s(-x) add up to 1."""
    total = kto(log_ratio, True, kl, beta) + kto(log_ratio, False, kl, beta)
    assert total == pytest.approx(1, abs=1e-12)


@given(log_ratio, st.floats(0, 20), kl, st.booleans())
def test_only_the_distance_to_the_kl_counts(
    log_ratio: float, shift: float, kl: float, desirable: bool
) -> None:
    moved = kto(log_ratio + shift, desirable, kl + shift)
    assert moved == pytest.approx(kto(log_ratio, desirable, kl), rel=1e-9)


@given(log_ratio, kl, st.booleans(), st.floats(0.1, 5), st.floats(0.1, 5))
def test_each_side_has_its_weight(
    log_ratio: float, kl: float, desirable: bool, weight: float, other: float
) -> None:
    weights = (weight, other) if desirable else (other, weight)
    options = KTO(desirable_weight=weights[0], undesirable_weight=weights[1])
    weighted = kto_loss(labelled(log_ratio, desirable, kl), options).item()
    assert weighted == pytest.approx(weight * kto(log_ratio, desirable, kl), rel=1e-12)


@given(log_ratio, st.booleans(), beta, st.floats(0.1, 5))
def test_anchored_at_zero_it_is_kto_without_drift(
    log_ratio: float, desirable: bool, beta: float, weight: float
) -> None:
    options = {"beta": beta, "desirable_weight": weight, "undesirable_weight": 2.0}
    anchored = apo_zero_unpaired_loss(labelled(log_ratio, desirable), APOZeroUnpaired(**options))
    expected = kto_loss(labelled(log_ratio, desirable, 0), KTO(**options))
    assert anchored.item() == pytest.approx(expected.item(), rel=1e-12)


def test_what_is_won_long_ago_still_costs_exactly() -> None:
    """s(-60) = 8.7565e-27; 1 - s(60) would be 0 in float64."""
    assert kto(60, True, 0, 1) == pytest.approx(math.exp(-60), rel=1e-12)


def test_the_gradient_fades_on_both_sides() -> None:
    """d/dr s(-b r) = -b s(b r) s(-b r): -b / 4 at the reference point, nearly nothing 50 rewards away."""
    logps = torch.tensor([0.0, 50, -50], dtype=torch.float64, requires_grad=True)
    batch = LabelLogps(
        logps=logps,
        lengths=torch.ones(3),
        desirable=torch.ones(3, dtype=torch.bool),
        reference=torch.zeros(3),
        kl=torch.zeros(()),
    )
    kto_loss(batch, KTO(beta=1)).sum().backward()
    assert logps.grad is not None
    assert logps.grad.tolist() == pytest.approx([-0.25, 0, 0], abs=1e-20)


@pytest.mark.parametrize("options", [KTO, APOZeroUnpaired])
@pytest.mark.parametrize("name", ["beta", "desirable_weight", "undesirable_weight"])
def test_zero_is_refused(options: type[KTO], name: str) -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        options.model_validate({name: 0})
