"""DPO and the likelihood of the chosen side."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairLogps
from palate.objectives.pair_terms import below_target, mean_logp_chosen
from palate.recipe.objective import RPO

__all__ = ["rpo_loss"]


def rpo_loss(logps: PairLogps, options: RPO) -> Tensor:
    """-log sigmoid(beta * margin) - nll_weight * log pi(y_w) / |y_w|.

    Pang et al. 2024, "Iterative Reasoning Preference Optimization", arXiv:2404.19733. It keeps the
    chosen side likely, which DPO alone does not ask for. A pair's target margin is subtracted from the
    logit, as for DPO.

    Departures: the paper's alpha multiplies the DPO term, and so is 1 / `nll_weight` but for the scale of the
    whole. trl, with `sigmoid` and `sft` together, averages over all tokens of a batch: the same where
    completions are of one length. Here every pair weighs the same, so that the result does not depend on
    which pairs meet in a batch.

    Args:
        logps: of B pairs, both sides, policy and reference.
        options: beta in 1/nats; nll_weight without unit.

    Returns:
        [B] losses in nats.
    """
    logits = below_target(options.beta * logps.margin, logps)
    return -logsigmoid(logits) - options.nll_weight * mean_logp_chosen(logps)
