"""Odds-ratio preference optimisation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairLogps
from palate.objectives.pair_terms import mean_logp_chosen, mean_logp_rejected
from palate.recipe.objective import ORPO

__all__ = ["orpo_loss"]


def orpo_loss(logps: PairLogps, options: ORPO) -> Tensor:
    """Supervised fine-tuning on the chosen side, and an odds ratio that holds the rejected side down.

    Hong et al. 2024, "ORPO: Monolithic Preference Optimization without Reference Model", arXiv:2403.07691,
    equations 6 and 7, whose lambda is `beta` here. With P(y) = exp(log pi(y) / |y|):

        odds(y) = P(y) / (1 - P(y))
        loss = -log P(y_w) - beta * log sigmoid(log(odds(y_w) / odds(y_l)))

    No target margins: an odds ratio is in another unit than rewards.

    Departures: the first term averages over each completion by itself; trl averages over all tokens of the
    batch, and counts the prompt's among them. A P(y) closer to 1 than the dtype can tell counts as that
    close, so that the odds stay finite.

    Args:
        logps: of B pairs, both sides; no reference is read.
        options: beta without unit.

    Returns:
        [B] losses in nats.
    """
    chosen = mean_logp_chosen(logps)
    log_odds_ratio = _log_odds(chosen) - _log_odds(mean_logp_rejected(logps))
    return -chosen - options.beta * logsigmoid(log_odds_ratio)


def _log_odds(log_p: Tensor) -> Tensor:
    log_p = log_p.clamp(max=-torch.finfo(log_p.dtype).eps)
    return log_p - (-torch.expm1(log_p)).log()
