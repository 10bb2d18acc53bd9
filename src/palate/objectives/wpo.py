"""Weighted preference optimisation: off-policy pairs weigh as much as the policy would write them."""

from __future__ import annotations

from torch import Tensor

from palate.objectives.contract import PairLogps, present
from palate.objectives.pair_terms import mean_logp_chosen, mean_logp_rejected

__all__ = ["wpo_weights"]


def wpo_weights(logps: PairLogps) -> Tensor:
    """How much of each pair's loss counts; constants, no gradient flows through them.

    Zhou et al. 2024, "WPO: Enhancing RLHF with Weighted Preference Optimization", arXiv:2406.11827, with
    sampled alignment: over the tokens t of a completion, against what a sampled token expects:

        w(y) = exp(mean_t(log pi(y_t) - log sum_v pi(v) ** 2))
        weight = min(1, w(y_w) * w(y_l))

    Departures: none from trl before its version 1. trl 1.16 has no bound of 1, so a pair that the policy is
    surer of than of its own samples weighs more there.

    Args:
        logps: of B pairs, both sides, and both log collision probabilities.

    Returns:
        [B] weights in (0, 1].
    """
    chosen = mean_logp_chosen(logps) - present(logps.chosen_log_collision, "chosen_log_collision")
    rejected = mean_logp_rejected(logps) - present(logps.rejected_log_collision, "rejected_log_collision")
    return (chosen + rejected).detach().clamp(max=0).exp()
