"""The figures of metrics.jsonl, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from palate.engine import BranchLogps
from palate.objectives import PairLogps
from palate.train.metrics import Meter, PairComputation


def row(*, reference: bool = True) -> PairComputation:
    """Two pairs. Chosen have 2 and 1 tokens, rejected 1 and 2.

    Policy per token, chosen then rejected: (-1, -2), (-3,), (-4,), (-1, -1); sums -3, -3, -4, -2.
    Reference: (-1, -1), (-3,), (-3,), (-2, -1); sums -2, -3, -3, -3.
    """
    policy = BranchLogps(torch.tensor([-1.0, -2, -3, -4, -1, -1]), torch.tensor([2, 1, 1, 2]), 10, 25)
    against = BranchLogps(torch.tensor([-1.0, -1, -3, -3, -2, -1]), torch.tensor([2, 1, 1, 2]), 0, 25)
    pairs = PairLogps(
        chosen=torch.tensor([-3.0, -3]),
        chosen_lengths=torch.tensor([2, 1]),
        rejected=torch.tensor([-4.0, -2]),
        rejected_lengths=torch.tensor([1, 2]),
        reference_chosen=torch.tensor([-2.0, -3]) if reference else None,
        reference_rejected=torch.tensor([-3.0, -3]) if reference else None,
    )
    return PairComputation(pairs, policy, against if reference else None)


def test_means_over_pairs_and_tokens() -> None:
    """Rewards at beta 0.5: chosen 0.5 * (-1, 0), rejected 0.5 * (-1, 1): a tie and a miss."""
    meter = Meter(0.5)
    meter.add(row(), torch.tensor([0.2, 0.6]))
    assert meter.figures("examples") == pytest.approx(
        {
            "loss": 0.4,
            "rewards_chosen": -0.25,
            "rewards_rejected": 0.0,
            "rewards_margin": -0.25,
            "rewards_accuracy": 0.25,  # a tie is half right
            "logps_chosen": -3.0,
            "logps_rejected": -3.0,
            "logps_chosen_per_token": -2.0,
            "chosen_length": 1.5,
            "logps_rejected_per_token": -2.0,
            "rejected_length": 1.5,
            "kl": (1 + 1 + 1) / 2 / 6,  # three of six tokens differ, by one nat each
            "tokens_computed": 10,
            "tokens_represented": 25,
            "sharing_factor": 2.5,
        }
    )


def test_the_cut_into_rows_does_not_show() -> None:
    """Two rows are weighed by what they hold, not averaged as rows."""
    meter = Meter(0.5)
    meter.add(row(), torch.tensor([0.2, 0.6]))
    meter.add(row(), torch.tensor([0.2, 0.6]))
    one = PairLogps(
        chosen=torch.tensor([-9.0]),
        chosen_lengths=torch.tensor([3]),
        rejected=torch.tensor([-1.0]),
        rejected_lengths=torch.tensor([1]),
        reference_chosen=torch.tensor([-9.0]),
        reference_rejected=torch.tensor([-1.0]),
    )
    logps = BranchLogps(torch.tensor([-3.0, -3, -3, -1]), torch.tensor([3, 1]), 5, 5)
    meter.add(PairComputation(one, logps, logps), torch.tensor([1.4]))
    figures = meter.figures("examples")
    assert figures["loss"] == pytest.approx((0.8 * 2 + 1.4) / 5)
    assert figures["logps_chosen"] == pytest.approx(-21 / 5)
    assert figures["logps_chosen_per_token"] == pytest.approx(-21 / 9)
    assert figures["kl"] == pytest.approx(3 / 16)
    assert figures["sharing_factor"] == pytest.approx(55 / 25)


def test_the_loss_per_token_is_divided_by_chosen_tokens() -> None:
    meter = Meter(1.0)
    meter.add(row(), torch.tensor([3.0, 3.0]))
    assert meter.figures("tokens")["loss"] == pytest.approx(6 / 3)


def test_what_was_not_computed_is_none() -> None:
    """Without reference the reward is the log-probability; without rejected there is no margin."""
    meter = Meter(1.0)
    meter.add(row(reference=False), torch.zeros(2))
    assert meter.figures("examples")["kl"] is None
    assert meter.figures("examples")["rewards_chosen"] == -3.0
    assert meter.figures("examples")["rewards_accuracy"] == 0.5

    alone = PairLogps(chosen=torch.tensor([-3.0]), chosen_lengths=torch.tensor([2]))
    logps = BranchLogps(torch.tensor([-1.0, -2]), torch.tensor([2]), 4, 4)
    meter = Meter(1.0)
    meter.add(PairComputation(alone, logps, None), torch.tensor([3.0]))
    figures = meter.figures("tokens")
    assert figures["loss"] == 1.5
    for name in (
        "rewards_rejected",
        "rewards_margin",
        "rewards_accuracy",
        "logps_rejected",
        "rejected_length",
    ):
        assert figures[name] is None, name


def test_not_a_number_is_seen_in_the_loss_and_none_elsewhere() -> None:
    meter = Meter(math.inf)
    meter.add(row(), torch.tensor([math.nan, 0.0]))
    figures = meter.figures("examples")
    assert math.isnan(figures["loss"])
    assert figures["rewards_chosen"] is None


def test_nothing_holds_on_to_the_graph() -> None:
    meter = Meter(1.0)
    computed = row()
    losses = torch.tensor([1.0, 2.0], requires_grad=True)
    meter.add(computed, losses * 2)
    assert all(not tensor.requires_grad for tensor in meter._tensors.values())
