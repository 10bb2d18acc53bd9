"""The contract: what every objective can count on, whichever it is."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from palate.objectives import PairLogps, implicit_rewards, objective_for
from palate.recipe import DPO, IPO, OBJECTIVES, SFT


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


LOGPS = PairLogps(
    chosen=tensor(-10, -4).requires_grad_(),
    rejected=tensor(-9, -8).requires_grad_(),
    reference_chosen=tensor(-12, -4),
    reference_rejected=tensor(-6, -8),
    chosen_lengths=torch.tensor([4, 2]),
    rejected_lengths=torch.tensor([6, 0]),
)


def test_log_ratios_by_hand() -> None:
    """-10 - -12 = 2, -4 - -4 = 0; -9 - -6 = -3, -8 - -8 = 0; margins 5 and 0; 2/4 - -3/6 = 1."""
    assert LOGPS.log_ratio_chosen.tolist() == [2, 0]
    assert LOGPS.log_ratio_rejected.tolist() == [-3, 0]
    assert LOGPS.margin.tolist() == [5, 0]
    assert LOGPS.mean_margin.tolist() == [1, 0]


def test_rewards_by_hand() -> None:
    """0.1 times the log-ratios; they feed metrics, so they hold no graph."""
    chosen, rejected = implicit_rewards(LOGPS, 0.1)
    assert rejected is not None
    assert chosen.tolist() == pytest.approx([0.2, 0])
    assert rejected.tolist() == pytest.approx([-0.3, 0])
    assert not chosen.requires_grad
    assert not rejected.requires_grad


def test_rewards_without_a_reference_are_log_probabilities() -> None:
    free = dataclasses.replace(LOGPS, reference_chosen=None, reference_rejected=None)
    chosen, rejected = implicit_rewards(free, SFT().reward_scale)
    assert rejected is not None
    assert chosen.tolist() == [-10, -4]
    assert rejected.tolist() == [-9, -8]


def test_rewards_of_one_side_leave_the_other_out() -> None:
    one_sided = PairLogps(chosen=tensor(-3), chosen_lengths=torch.tensor([2]))
    chosen, rejected = implicit_rewards(one_sided, 1.0)
    assert chosen.tolist() == [-3]
    assert rejected is None


@pytest.mark.parametrize(
    ("missing", "attribute"),
    [("rejected", "margin"), ("reference_chosen", "log_ratio_chosen"), ("rejected_lengths", "mean_margin")],
)
def test_reading_what_is_not_there_names_it(missing: str, attribute: str) -> None:
    with pytest.raises(ValueError, match=f"{missing} is None"):
        getattr(dataclasses.replace(LOGPS, **{missing: None}), attribute)


def test_every_recipe_objective_has_a_function() -> None:
    for options in OBJECTIVES.values():
        assert callable(objective_for(options()))


def test_options_reach_the_function() -> None:
    """beta 0.2, margin 5: logit 1 and log(1 + e^-1); IPO at 0.25 and per token: (1 - 2)^2."""
    assert objective_for(DPO(beta=0.2))(LOGPS)[0].item() == pytest.approx(0.31326169, abs=1e-8)
    assert objective_for(IPO(beta=0.25, logps="mean"))(LOGPS)[0].item() == pytest.approx(1)
