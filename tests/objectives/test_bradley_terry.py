"""The reward model's loss: margins, noisy labels, centred scores."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from palate.objectives import PairScores, bradley_terry_loss
from palate.recipe import BradleyTerry

score = st.floats(-30, 30)
margin = st.floats(0, 5)
smoothing = st.floats(0, 0.49)


def tensor(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def loss_of(chosen: float, rejected: float, margin: float | None = None, **options: float) -> float:
    scores = PairScores(
        chosen=tensor(chosen),
        rejected=tensor(rejected),
        target_margin=None if margin is None else tensor(margin),
    )
    return bradley_terry_loss(scores, BradleyTerry.model_validate(options)).item()


@given(score, smoothing)
def test_equal_scores_cost_ln_2(score: float, smoothing: float) -> None:
    assert loss_of(score, score, label_smoothing=smoothing) == pytest.approx(math.log(2), rel=1e-12)


@given(score, score, smoothing)
def test_is_cross_entropy_with_a_soft_label(chosen: float, rejected: float, smoothing: float) -> None:
    """An implementation that shares nothing with ours."""
    expected = binary_cross_entropy_with_logits(tensor(chosen - rejected), tensor(1 - smoothing))
    assert loss_of(chosen, rejected, label_smoothing=smoothing) == pytest.approx(
        expected.item(), rel=1e-9, abs=1e-12
    )


@given(score, score, margin, smoothing)
def test_smoothing_is_the_mean_over_right_and_wrong_pairs(
    chosen: float, rejected: float, margin: float, smoothing: float
) -> None:
    """A wrong pair is the same pair the other way round, its margin with it."""
    right, wrong = loss_of(chosen, rejected, margin), loss_of(rejected, chosen, margin)
    expected = (1 - smoothing) * right + smoothing * wrong
    assert loss_of(chosen, rejected, margin, label_smoothing=smoothing) == pytest.approx(expected, abs=1e-9)


@given(score, score, margin, smoothing)
def test_a_margin_moves_the_target(chosen: float, rejected: float, margin: float, smoothing: float) -> None:
    assert loss_of(chosen, rejected, margin) == pytest.approx(loss_of(chosen - margin, rejected), abs=1e-12)
    assert loss_of(chosen, rejected, 0, label_smoothing=smoothing) == loss_of(
        chosen, rejected, label_smoothing=smoothing
    )


@given(score, score, st.floats(-20, 20))
def test_without_centring_only_differences_count(chosen: float, rejected: float, shift: float) -> None:
    moved = loss_of(chosen + shift, rejected + shift)
    assert moved == pytest.approx(loss_of(chosen, rejected), rel=1e-9, abs=1e-9)


@given(score, score, margin, st.floats(0, 2))
def test_centring_adds_the_square_of_the_sum(
    chosen: float, rejected: float, margin: float, coefficient: float
) -> None:
    plain = loss_of(chosen, rejected, margin)
    expected = plain + coefficient * (chosen + rejected) ** 2
    assert loss_of(chosen, rejected, margin, center_coefficient=coefficient) == pytest.approx(
        expected, rel=1e-12
    )


@given(score, score)
def test_centring_asks_nothing_of_opposite_scores(lead: float, coefficient: float) -> None:
    coefficient = abs(coefficient)
    assert loss_of(lead, -lead, center_coefficient=coefficient) == loss_of(lead, -lead)
