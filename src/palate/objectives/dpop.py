"""DPO-Positive: the chosen side must not lose."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairLogps
from palate.objectives.pair_terms import below_target
from palate.recipe.objective import DPOP

__all__ = ["dpop_loss"]


def dpop_loss(logps: PairLogps, options: DPOP) -> Tensor:
    """DPO with a penalty on every nat by which the chosen side is less likely than under the reference.

    Pal et al. 2024, "Smaug: Fixing Failure Modes of Preference Optimisation with DPO-Positive",
    arXiv:2402.13228, whose lambda is `penalty` here:

        loss = -log sigmoid(beta * (margin - penalty * max(0, log pi_ref(y_w)/pi(y_w))))

    A pair's target margin is subtracted from the logit, as for DPO.

    Departures: none. trl does not have it.

    Args:
        logps: of B pairs, both sides, policy and reference.
        options: beta in 1/nats; penalty without unit.

    Returns:
        [B] losses in nats, ln 2 each where policy and reference agree and no target margin is given.
    """
    lost = (-logps.log_ratio_chosen).clamp(min=0)
    return -logsigmoid(below_target(options.beta * (logps.margin - options.penalty * lost), logps))
