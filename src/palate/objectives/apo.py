"""Anchored preference optimisation of pairs."""

from __future__ import annotations

from torch import Tensor

from palate.objectives.contract import PairLogps
from palate.recipe.objective import APODown, APOZero

__all__ = ["apo_down_loss", "apo_zero_loss"]


def apo_zero_loss(logps: PairLogps, options: APOZero) -> Tensor:
    """Chosen up, rejected down, each from where the reference has it.

    D'Oosterlinck et al. 2024, "Anchored Preference Optimization and Contrastive Revisions", arXiv:2408.06266,
    equation 7; for chosen sides better than what the model writes by itself. With r = beta * log pi/pi_ref:

        loss = -sigmoid(r_w) + sigmoid(r_l)

    No target margins: the two sides are not compared.

    Departures: 1 is added, as trl does, so that no loss is negative.

    Args:
        logps: of B pairs, both sides, policy and reference.
        options: beta in 1/nats.

    Returns:
        [B] losses between 0 and 2, 1 each where policy and reference agree.
    """
    # 1 - sigmoid(r) is sigmoid(-r), and loses no digits where r is large.
    return (-options.beta * logps.log_ratio_chosen).sigmoid() + (
        options.beta * logps.log_ratio_rejected
    ).sigmoid()


def apo_down_loss(logps: PairLogps, options: APODown) -> Tensor:
    """Chosen down, rejected further down.

    D'Oosterlinck et al. 2024, arXiv:2408.06266, equation 8; for chosen sides worse than what the model writes
    by itself. With r = beta * log pi/pi_ref:

        loss = sigmoid(r_w) - sigmoid(r_w - r_l)

    No target margins: the first term, which does not compare the sides, has no place for one.

    Departures: 1 is added, as trl does, so that no loss is negative.

    Args:
        logps: of B pairs, both sides, policy and reference.
        options: beta in 1/nats.

    Returns:
        [B] losses between 0 and 2, 1 each where policy and reference agree.
    """
    return (options.beta * logps.log_ratio_chosen).sigmoid() + (-options.beta * logps.margin).sigmoid()
