"""Self-play preference optimisation with certain winners."""

from __future__ import annotations

from torch import Tensor

from palate.objectives.contract import PairLogps
from palate.recipe.objective import SPPOHard

__all__ = ["sppo_hard_loss"]


def sppo_hard_loss(logps: PairLogps, options: SPPOHard) -> Tensor:
    """Each side's log-ratio is pulled to its own place: half an eta up, half an eta down.

    Wu et al. 2024, "Self-Play Preference Optimization for Language Model Alignment", arXiv:2405.00675,
    equation 4.7 with a winning probability of 1 for chosen and 0 for rejected; beta is 1 / eta:

        loss = (log pi(y_w)/pi_ref(y_w) - 1 / (2 beta)) ** 2 + (log pi(y_l)/pi_ref(y_l) + 1 / (2 beta)) ** 2

    No target margins: the two sides are not compared.

    Departures: the paper estimates the winning probability with a preference model; here, as in trl, the data
    says who won.

    Args:
        logps: of B pairs, both sides, policy and reference.
        options: beta in 1/nats.

    Returns:
        [B] losses in nats squared, 1 / (2 beta ** 2) each where policy and reference agree.
    """
    half = 1 / (2 * options.beta)
    return (logps.log_ratio_chosen - half) ** 2 + (logps.log_ratio_rejected + half) ** 2
