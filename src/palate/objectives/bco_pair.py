"""Binary classifier optimisation of pairs."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairLogps, present
from palate.recipe.objective import BCOPair

__all__ = ["bco_pair_loss"]


def bco_pair_loss(logps: PairLogps, options: BCOPair) -> Tensor:
    """A classifier whose logit is the reward: chosen is of one class, rejected of the other.

    Jung et al. 2024, "Binary Classifier Optimization for Large Language Model Alignment", arXiv:2404.04656.
    With r = beta * log pi/pi_ref and a shift s between the classes, the mean reward:

        loss = -log sigmoid(r_w - s) - log sigmoid(-(r_l - s))

    No target margins: the two sides are not compared.

    Departures: s is the mean over all *earlier* steps, 0 at the first, so that a step's examples do not see
    each other; the paper has a running mean. trl 1.16's `bco_pair` has no shift at all; that is s = 0.

    Args:
        logps: of B pairs, both sides, policy and reference, and `reward_shift` in beta * nats.
        options: beta in 1/nats.

    Returns:
        [B] losses in nats, 2 ln 2 each where policy and reference agree and the shift is 0.
    """
    shift = present(logps.reward_shift, "reward_shift")
    chosen, rejected = options.beta * logps.log_ratio_chosen, options.beta * logps.log_ratio_rejected
    return -logsigmoid(chosen - shift) - logsigmoid(shift - rejected)
