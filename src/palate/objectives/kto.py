"""Kahneman-Tversky optimisation."""

from __future__ import annotations

import torch
from torch import Tensor

from palate.objectives.contract import LabelLogps, present
from palate.recipe.objective import KTO

__all__ = ["kto_loss"]


def kto_loss(logps: LabelLogps, options: KTO) -> Tensor:
    """1 - sigmoid(beta * gain), the gain being how far a completion lies on the right side of the KL.

    Ethayarajh et al. 2024, "KTO: Model Alignment as Prospect Theoretic Optimization", arXiv:2402.01306,
    section 4, with r = log pi(y|x)/pi_ref(y|x) and z_0 = KL(pi || pi_ref):

        loss = lambda_D * (1 - sigmoid(beta * (r - z_0)))    where y is desirable
        loss = lambda_U * (1 - sigmoid(beta * (z_0 - r)))    where it is not

    The sigmoid is flat on both sides, so what is long won or hopelessly lost is left alone. The paper writes
    lambda_y - v(x, y), which is the same.

    Departures: none in the formula. z_0 is `logps.kl`, the estimate over the whole batch, held at 0 or above
    and constant in the gradient, as the paper has it. trl estimates it from each micro-batch, so that there
    the loss depends on how a batch is cut; here it does not.

    Args:
        logps: of B labelled completions, policy and reference, with `kl` in nats.
        options: beta in 1/nats; the weights of the two sides.

    Returns:
        [B] losses without unit, from 0 to their side's weight; half of it each where policy and reference
        agree.
    """
    kl = present(logps.kl, "kl")
    gain = torch.where(logps.desirable, logps.log_ratio - kl, kl - logps.log_ratio)
    # 1 - sigmoid(x) = sigmoid(-x), which stays exact where the difference would round to zero.
    loss = torch.sigmoid(-options.beta * gain)
    return torch.where(logps.desirable, options.desirable_weight * loss, options.undesirable_weight * loss)
