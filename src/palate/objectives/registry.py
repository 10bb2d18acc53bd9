"""From an objective's options to its function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from palate.objectives.contract import PairLogps
from palate.objectives.dpo import dpo_loss
from palate.objectives.ipo import ipo_loss
from palate.objectives.sft import sft_loss
from palate.recipe.objective import DPO, IPO, SFT, ObjectiveOptions

__all__ = ["PAIR_OBJECTIVES", "objective_for"]

PAIR_OBJECTIVES: dict[type[DPO] | type[IPO] | type[SFT], Callable[[PairLogps, Any], Tensor]] = {
    DPO: dpo_loss,
    IPO: ipo_loss,
    SFT: sft_loss,
}
"""Each function takes the options class it stands beside."""


def objective_for(options: ObjectiveOptions) -> Callable[[PairLogps], Tensor]:
    """The objective these options describe: log-probabilities of B pairs in, `[B]` losses out."""
    loss = PAIR_OBJECTIVES[type(options)]
    return lambda logps: loss(logps, options)
