"""Efficient exact optimisation of pairs."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairLogps
from palate.recipe.objective import EXO

__all__ = ["exo_loss"]


def exo_loss(logps: PairLogps, options: EXO) -> Tensor:
    """KL(policy's preference || the data's): DPO's divergence with its two sides exchanged.

    Ji et al. 2024, "Towards Efficient Exact Optimization of Language Model Alignment", arXiv:2402.00856,
    equation 16 for two completions. With q = sigmoid(beta * margin) and e = `label_smoothing`:

        loss = q * log(q / (1 - e)) + (1 - q) * log((1 - q) / e)

    It is least at the finite margin log((1 - e) / e) / beta and pushes back beyond. The data's side must not
    be certain, so e > 0. No target margins: the data's preference is already a probability here.

    Departures: none; trl's `exo_pair` is the same.

    Args:
        logps: of B pairs, both sides, policy and reference.
        options: beta in 1/nats; label_smoothing in (0, 0.5).

    Returns:
        [B] losses in nats.
    """
    logits = options.beta * logps.margin
    log_q, log_not_q = logsigmoid(logits), logsigmoid(-logits)
    log_right, log_wrong = math.log1p(-options.label_smoothing), math.log(options.label_smoothing)
    return log_q.exp() * (log_q - log_right) + log_not_q.exp() * (log_not_q - log_wrong)
