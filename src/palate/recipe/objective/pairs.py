"""Options of the objectives that learn from pairs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from palate.recipe.objective.base import Objective

__all__ = ["DPO", "IPO", "PAIR_OBJECTIVES", "SFT"]


class DPO(Objective):
    """Direct preference optimisation."""

    data = "pairs"
    needs_reference = True
    needs_rejected = True
    normalise_by = "examples"
    paper = "Rafailov et al. 2023, arXiv:2305.18290, equation 7; label smoothing: Mitchell 2023, cDPO note"
    loss = "palate.objectives.dpo:dpo_loss"

    type: Literal["dpo"] = "dpo"
    beta: Annotated[float, Field(gt=0)] = 0.1
    """How strongly the policy is held to the reference; larger holds it closer."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The assumed share of pairs whose preference is the wrong way round (conservative DPO)."""

    @property
    def reward_scale(self) -> float:
        return self.beta


class IPO(Objective):
    """Identity preference optimisation."""

    data = "pairs"
    needs_reference = True
    needs_rejected = True
    normalise_by = "examples"
    paper = "Azar et al. 2023, arXiv:2310.12036, equation 17"
    loss = "palate.objectives.ipo:ipo_loss"

    type: Literal["ipo"] = "ipo"
    beta: Annotated[float, Field(gt=0)] = 0.1
    """The paper's tau: the margin of log-ratios is pulled towards 1 / (2 beta)."""
    logps: Literal["sum", "mean"] = "sum"
    """`sum`: log-ratios of whole completions, as the paper writes them. `mean`: per token, as trl does."""

    @property
    def reward_scale(self) -> float:
        return self.beta


class SFT(Objective):
    """Supervised fine-tuning on the chosen completion alone."""

    data = "pairs"
    needs_reference = False
    needs_rejected = False
    normalise_by = "tokens"
    paper = "maximum likelihood on completion tokens"
    loss = "palate.objectives.sft:sft_loss"

    type: Literal["sft"] = "sft"


PAIR_OBJECTIVES: tuple[type[Objective], ...] = (DPO, IPO, SFT)
"""In the order in which they are listed."""
