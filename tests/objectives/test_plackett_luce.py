"""The Plackett-Luce loss against its product formula, and against DPO where a ranking is a pair."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palate.objectives import PairLogps, RankingLogps, dpo_loss, plackett_luce_loss
from palate.recipe import DPO, PlackettLuce

log_ratio = st.floats(-60, 60)
beta = st.floats(0.01, 2)


def rankings(*log_ratios: list[float], width: int | None = None) -> RankingLogps:
    """Rankings of these log-ratios, best first, padded to the longest or to `width`."""
    width = max(map(len, log_ratios)) if width is None else width
    present = torch.tensor([[k < len(each) for k in range(width)] for each in log_ratios])
    padded = [[*each, *[0.0] * (width - len(each))] for each in log_ratios]
    return RankingLogps(
        logps=torch.tensor(padded, dtype=torch.float64),
        lengths=present.long(),
        present=present,
        reference=torch.zeros(present.shape, dtype=torch.float64),
    )


def by_the_formula(log_ratios: list[float], beta: float) -> float:
    """-log of equation 20's product, written out in numpy."""
    strengths = np.exp(beta * np.array(log_ratios))
    shares = [strengths[k] / strengths[k:].sum() for k in range(len(strengths))]
    return float(-np.log(np.prod(shares)))


def loss_of(log_ratios: list[float], beta: float = 0.1) -> float:
    return plackett_luce_loss(rankings(log_ratios), PlackettLuce(beta=beta)).item()


@given(log_ratio, log_ratio, log_ratio, log_ratio, beta)
def test_a_ranking_of_two_is_a_pair(c: float, r: float, rc: float, rr: float, beta: float) -> None:
    sides = [torch.tensor([value], dtype=torch.float64) for value in (c, r, rc, rr)]
    one = torch.ones(1)
    pair = PairLogps(
        chosen=sides[0],
        rejected=sides[1],
        reference_chosen=sides[2],
        reference_rejected=sides[3],
        chosen_lengths=one,
        rejected_lengths=one,
    )
    ranking = RankingLogps(
        logps=torch.stack(sides[:2], dim=1),
        reference=torch.stack(sides[2:], dim=1),
        lengths=torch.ones(1, 2),
        present=torch.ones(1, 2, dtype=torch.bool),
    )
    expected = dpo_loss(pair, DPO(beta=beta)).item()
    assert plackett_luce_loss(ranking, PlackettLuce(beta=beta)).item() == pytest.approx(
        expected, rel=1e-9, abs=1e-12
    )


@given(st.lists(st.lists(st.floats(-10, 10), min_size=1, max_size=5), min_size=1, max_size=4), beta)
def test_is_the_product_formula(several: list[list[float]], beta: float) -> None:
    """Rankings of one to five in one batch, absent entries and all."""
    losses = plackett_luce_loss(rankings(*several, width=5), PlackettLuce(beta=beta))
    assert losses.tolist() == pytest.approx([by_the_formula(each, beta) for each in several], abs=1e-9)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_at_the_reference_all_orders_are_as_likely(length: int) -> None:
    assert loss_of([-3.0] * length) == pytest.approx(math.log(math.factorial(length)), abs=1e-12)


@given(st.lists(st.floats(-10, 10), min_size=3, max_size=3), beta)
def test_the_probabilities_of_all_orders_add_up_to_one(log_ratios: list[float], beta: float) -> None:
    total = sum(math.exp(-loss_of(list(order), beta)) for order in itertools.permutations(log_ratios))
    assert total == pytest.approx(1, rel=1e-9)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=5), st.floats(-50, 50), beta)
def test_what_all_gain_cancels(log_ratios: list[float], shift: float, beta: float) -> None:
    moved = loss_of([each + shift for each in log_ratios], beta)
    assert moved == pytest.approx(loss_of(log_ratios, beta), rel=1e-6, abs=1e-9)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=5), beta)
def test_no_order_costs_less_than_that_of_the_rewards(log_ratios: list[float], beta: float) -> None:
    best = loss_of(sorted(log_ratios, reverse=True), beta)
    assert best <= loss_of(log_ratios, beta) + 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", [0, 1])
def test_a_ranking_of_one_costs_nothing_and_teaches_nothing(length: int, dtype: torch.dtype) -> None:
    """Alone in its batch, and beside a ranking of three."""
    for others in ([], [True, True, True]):
        present = torch.tensor([[k < length for k in range(3)], *([others] if others else [])])
        logps = torch.full(present.shape, -7.0, dtype=dtype) * present
        logps.requires_grad_()
        batch = RankingLogps(
            logps=logps, reference=torch.zeros_like(logps), lengths=present.long(), present=present
        )
        losses = plackett_luce_loss(batch, PlackettLuce())
        losses.sum().backward()
        assert losses[0].item() == 0
        assert logps.grad is not None
        assert (logps.grad[0] == 0).all()
        assert logps.grad.isfinite().all()


def test_padding_changes_nothing() -> None:
    """A width of one (no padding at all), and the same ranking in wider batches."""
    assert plackett_luce_loss(rankings([4.0]), PlackettLuce()).tolist() == [0]
    for width in (3, 4, 9):
        padded = plackett_luce_loss(rankings([2.0, 0, -1], width=width), PlackettLuce(beta=1))
        assert padded.item() == pytest.approx(by_the_formula([2.0, 0, -1], 1), abs=1e-12)
