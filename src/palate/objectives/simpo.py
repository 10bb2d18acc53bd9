"""Simple preference optimisation."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairLogps
from palate.objectives.pair_terms import below_target, mean_logp_chosen, mean_logp_rejected
from palate.recipe.objective import SimPO

__all__ = ["simpo_loss"]


def simpo_loss(logps: PairLogps, options: SimPO) -> Tensor:
    """-log sigmoid of how far the chosen side's reward per token leads, less what it should lead by.

    Meng et al. 2024, "SimPO: Simple Preference Optimization with a Reference-Free Reward", arXiv:2405.14734,
    equation 6:

        loss = -log sigmoid(beta * log pi(y_w) / |y_w| - beta * log pi(y_l) / |y_l| - gamma)

    A pair's target margin is added to gamma.

    Departures: none; trl's `simpo` (in its CPO trainer, with `cpo_alpha` 0) is the same. Its default of beta,
    0.1, is far from the paper's 2 to 2.5.

    Args:
        logps: of B pairs, both sides; no reference is read.
        options: beta in tokens/nat; gamma in the unit of the reward.

    Returns:
        [B] losses in nats.
    """
    lead = options.beta * (mean_logp_chosen(logps) - mean_logp_rejected(logps))
    return -logsigmoid(below_target(lead, logps) - options.gamma)
