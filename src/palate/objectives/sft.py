"""Supervised fine-tuning on the chosen completion."""

from __future__ import annotations

from torch import Tensor

from palate.objectives.contract import PairLogps
from palate.recipe.objective import SFT

__all__ = ["sft_loss"]


def sft_loss(logps: PairLogps, options: SFT) -> Tensor:
    """-log pi(y_w | x): the negative log-likelihood of the chosen completion, its tokens alone.

    Maximum likelihood; the loop divides a batch's sum by the batch's chosen tokens (`normalise_by =
    "tokens"`), so that every token weighs the same whichever completion, micro-batch or process it falls in.

    Departures: none. Dividing inside each micro-batch and averaging the quotients weighs tokens of short
    completions more, and makes the result depend on the cut; that is why nothing is divided here.

    Args:
        logps: of B pairs; only `chosen` is read.
        options: nothing to choose.

    Returns:
        [B] losses in nats, summed over tokens.
    """
    return -logps.chosen
