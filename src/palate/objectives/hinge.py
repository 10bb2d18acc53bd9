"""Sequence likelihood calibration with a hinge."""

from __future__ import annotations

from torch import Tensor

from palate.objectives.contract import PairLogps
from palate.objectives.pair_terms import below_target
from palate.recipe.objective import Hinge

__all__ = ["hinge_loss"]


def hinge_loss(logps: PairLogps, options: Hinge) -> Tensor:
    """max(0, 1 - beta * margin): pushes until the margin is 1 / beta, and then not at all.

    Zhao et al. 2023, "SLiC-HF", arXiv:2305.10425, with log-ratios to a reference in the place of
    log-probabilities, as Liu et al. 2023 (RSO, arXiv:2309.06657) have it:

        loss = max(0, 1 - beta * (log pi(y_w)/pi_ref(y_w) - log pi(y_l)/pi_ref(y_l)))

    A pair's target margin is subtracted from the reward margin, so a better pair has to go further.

    Departures: SLiC-HF compares log-probabilities without a reference and adds the likelihood of a reference
    text; `mpo` with an `sft` term adds that. trl computes what stands here.

    Args:
        logps: of B pairs, both sides, policy and reference.
        options: beta in 1/nats.

    Returns:
        [B] losses, 1 each where policy and reference agree and no target margin is given.
    """
    return (1 - below_target(options.beta * logps.margin, logps)).clamp(min=0)
