"""Options of the objectives that learn from single completions with a thumb up or down."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from palate.recipe.objective.base import Objective

__all__ = ["BCO", "KTO", "LABEL_OBJECTIVES", "APOZeroUnpaired"]


class KTO(Objective):
    """Kahneman-Tversky optimisation."""

    data = "labels"
    needs_reference = True
    needs_kl = True
    normalise_by = "examples"
    paper = "Ethayarajh et al. 2024, arXiv:2402.01306, section 4"
    loss = "palate.objectives.kto:kto_loss"

    type: Literal["kto"] = "kto"
    beta: Annotated[float, Field(gt=0)] = 0.1
    """How soon a completion counts as won or lost, and so is left alone: larger, sooner."""
    desirable_weight: Annotated[float, Field(gt=0)] = 1.0
    """The paper's lambda_D: what a desirable completion weighs."""
    undesirable_weight: Annotated[float, Field(gt=0)] = 1.0
    """The paper's lambda_U: what an undesirable completion weighs."""

    @property
    def reward_scale(self) -> float:
        return self.beta


class APOZeroUnpaired(Objective):
    """Anchored preference optimisation, APO-zero, on labels: KTO with its reference point at zero."""

    data = "labels"
    needs_reference = True
    normalise_by = "examples"
    paper = "D'Oosterlinck et al. 2024, arXiv:2408.06266, APO-zero"
    loss = "palate.objectives.apo_zero_unpaired:apo_zero_unpaired_loss"

    type: Literal["apo_zero_unpaired"] = "apo_zero_unpaired"
    beta: Annotated[float, Field(gt=0)] = 0.1
    """How soon a completion counts as won or lost, and so is left alone: larger, sooner."""
    desirable_weight: Annotated[float, Field(gt=0)] = 1.0
    """What a desirable completion weighs."""
    undesirable_weight: Annotated[float, Field(gt=0)] = 1.0
    """What an undesirable completion weighs."""

    @property
    def reward_scale(self) -> float:
        return self.beta


class BCO(Objective):
    """Binary classifier optimisation."""

    data = "labels"
    needs_reference = True
    needs_reward_shift = True
    normalise_by = "examples"
    paper = "Jung et al. 2024, arXiv:2404.04656"
    loss = "palate.objectives.bco:bco_loss"

    type: Literal["bco"] = "bco"
    beta: Annotated[float, Field(gt=0)] = 0.1
    """How strongly the policy is held to the reference; larger holds it closer."""

    @property
    def reward_scale(self) -> float:
        return self.beta


LABEL_OBJECTIVES: tuple[type[Objective], ...] = (KTO, APOZeroUnpaired, BCO)
"""In the order in which they are listed."""
