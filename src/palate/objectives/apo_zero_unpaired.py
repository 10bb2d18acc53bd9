"""APO-zero for single labelled completions."""

from __future__ import annotations

import torch
from torch import Tensor

from palate.objectives.contract import LabelLogps
from palate.recipe.objective import APOZeroUnpaired

__all__ = ["apo_zero_unpaired_loss"]


def apo_zero_unpaired_loss(logps: LabelLogps, options: APOZeroUnpaired) -> Tensor:
    """sigmoid(-beta * r) of desirable completions and sigmoid(beta * r) of the others.

    D'Oosterlinck et al. 2024, "Anchored Preference Optimization and Contrastive Revisions", arXiv:2408.06266,
    APO-zero, with r = log pi(y|x)/pi_ref(y|x):

        loss = w_D * (1 - sigmoid(beta * r))    where y is desirable
        loss = w_U * sigmoid(beta * r)          where it is not

    It raises what is desirable and lowers what is not in absolute terms, where KTO does so against the mean
    drift of the policy. So it needs no mismatched pairs, and suits desirable completions that are better than
    what the model writes by itself.

    Departures: the paper sums the two terms over the sides of a pair; here, as in trl, each labelled
    completion brings its own, and each side has a weight as in KTO.

    Args:
        logps: of B labelled completions, policy and reference.
        options: beta in 1/nats; the weights of the two sides.

    Returns:
        [B] losses without unit, from 0 to their side's weight; half of it each where policy and reference
        agree.
    """
    gain = torch.where(logps.desirable, logps.log_ratio, -logps.log_ratio)
    loss = torch.sigmoid(-options.beta * gain)
    return torch.where(logps.desirable, options.desirable_weight * loss, options.undesirable_weight * loss)
