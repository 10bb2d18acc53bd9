"""Options of the objectives that learn from pairs through a scalar score: reward models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from palate.recipe.objective.base import Objective

__all__ = ["SCORE_OBJECTIVES", "BradleyTerry"]


class BradleyTerry(Objective):
    """A reward model: scores under which the chosen completion is the likelier winner."""

    data = "pairs"
    reads = "scores"
    needs_reference = False
    needs_rejected = True
    normalise_by = "examples"
    takes_margin = True
    paper = (
        "Ouyang et al. 2022, arXiv:2203.02155, equation 1; margin: Touvron et al. 2023, arXiv:2307.09288, "
        "equation 2; centring: Eisenstein et al. 2023, arXiv:2312.09244"
    )
    loss = "palate.objectives.bradley_terry:bradley_terry_loss"

    type: Literal["reward"] = "reward"
    center_coefficient: Annotated[float, Field(ge=0)] = 0.0
    """How strongly the mean score of each pair is held at zero; without it only differences mean anything."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The assumed share of pairs whose preference is the wrong way round."""


SCORE_OBJECTIVES: tuple[type[Objective], ...] = (BradleyTerry,)
"""In the order in which they are listed."""
