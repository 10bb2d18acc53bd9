"""Contrastive preference optimisation."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairLogps, present
from palate.objectives.pair_terms import below_target, mean_logp_chosen
from palate.recipe.objective import CPO

__all__ = ["cpo_loss"]


def cpo_loss(logps: PairLogps, options: CPO) -> Tensor:
    """DPO with a uniform reference, and the likelihood of the chosen side.

    Xu et al. 2024, "Contrastive Preference Optimization", arXiv:2401.08417:

        loss = -log sigmoid(beta * (log pi(y_w) - log pi(y_l))) - nll_weight * log pi(y_w) / |y_w|

    A pair's target margin is subtracted from the logit, as for DPO.

    Departures: the paper writes the likelihood of the whole completion, and does not weigh it; here it is per
    token, averaged over each completion by itself. trl averages over all tokens of a batch: the same where
    completions are of one length. Here every pair weighs the same, whichever it meets.

    Args:
        logps: of B pairs, both sides; no reference is read.
        options: beta in 1/nats; nll_weight without unit.

    Returns:
        [B] losses in nats.
    """
    lead = logps.chosen - present(logps.rejected, "rejected")
    preference = -logsigmoid(below_target(options.beta * lead, logps))
    return preference - options.nll_weight * mean_logp_chosen(logps)
