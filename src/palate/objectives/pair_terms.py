"""Terms that several losses of pairs are made of."""

from __future__ import annotations

from torch import Tensor

from palate.objectives.contract import PairLogps, present

__all__ = ["below_target", "mean_logp_chosen", "mean_logp_rejected"]


def below_target(reward_margins: Tensor, logps: PairLogps) -> Tensor:
    """[B] what the reward margins exceed their target margins by; the margins themselves without targets.

    Amini et al. 2024, "Direct Preference Optimization with an Offset", arXiv:2402.10571: a pair whose chosen
    side is better by more has to be told apart by more.

    Args:
        reward_margins: [B] in the unit of the target, which is beta * nats.
        logps: whose `target_margin` is read.
    """
    return reward_margins if logps.target_margin is None else reward_margins - logps.target_margin


def mean_logp_chosen(logps: PairLogps) -> Tensor:
    """[B] log pi(chosen) per scored token, in nats; 0 without tokens."""
    # A completion without scored tokens sums to zero; dividing by one keeps it zero instead of NaN.
    return logps.chosen / logps.chosen_lengths.clamp(min=1)


def mean_logp_rejected(logps: PairLogps) -> Tensor:
    """[B] log pi(rejected) per scored token, in nats; 0 without tokens."""
    lengths = present(logps.rejected_lengths, "rejected_lengths")
    return present(logps.rejected, "rejected") / lengths.clamp(min=1)
