"""Noise contrastive alignment of pairs."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairLogps
from palate.recipe.objective import NCA

__all__ = ["nca_loss"]


def nca_loss(logps: PairLogps, options: NCA) -> Tensor:
    """Absolute rewards against noise: the chosen side's likelihood does not fall as it may under DPO.

    Chen et al. 2024, "Noise Contrastive Alignment of Language Models with Explicit Rewards",
    arXiv:2402.05369, for pairs. With r = beta * log pi/pi_ref:

        loss = -log sigmoid(r_w) - log sigmoid(-r_w) / 2 - log sigmoid(-r_l) / 2

    The first two terms are least at r_w = ln 2, so the chosen side is pulled there and not pushed for ever.
    No target margins: the two sides are not compared.

    Departures: none; trl's `nca_pair` is the same.

    Args:
        logps: of B pairs, both sides, policy and reference.
        options: beta in 1/nats.

    Returns:
        [B] losses in nats, 2 ln 2 each where policy and reference agree.
    """
    chosen, rejected = options.beta * logps.log_ratio_chosen, options.beta * logps.log_ratio_rejected
    return -logsigmoid(chosen) - (logsigmoid(-chosen) + logsigmoid(-rejected)) / 2
