"""Discovered preference optimisation."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairLogps
from palate.recipe.objective import DiscoPOP

__all__ = ["discopop_loss"]


def discopop_loss(logps: PairLogps, options: DiscoPOP) -> Tensor:
    """A loss a language model proposed: logistic for lost pairs, exponential for won ones.

    Lu et al. 2024, "Discovering Preference Optimization Algorithms with and for Large Language Models",
    arXiv:2406.08414, equation 5 (log-ratio modulated loss). With x = beta * margin and m = sigmoid(x / tau):

        loss = (1 - m) * -log sigmoid(x) + m * exp(-x)

    It is not monotone: around x = 0 it rises before it falls. No target margins: its shape was found by
    search with nothing subtracted.

    Departures: none in value; trl's is the same, but overflows to NaN where x is far below 0.

    Args:
        logps: of B pairs, both sides, policy and reference.
        options: beta in 1/nats; tau in (0, 1].

    Returns:
        [B] losses, (1 + ln 2) / 2 each where policy and reference agree.
    """
    logits = options.beta * logps.margin
    logistic = -logsigmoid(logits) * (-logits / options.tau).sigmoid()
    # As one exponent, which is at most 0 for lost pairs: m underflows there faster than exp(-x) grows.
    exponential = (logsigmoid(logits / options.tau) - logits).exp()
    return logistic + exponential
