"""Options of the objectives that learn from rankings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from palate.recipe.objective.base import Objective

__all__ = ["RANKING_OBJECTIVES", "PlackettLuce"]


class PlackettLuce(Objective):
    """Direct preference optimisation on whole rankings, under the Plackett-Luce model."""

    data = "rankings"
    needs_reference = True
    normalise_by = "examples"
    paper = "Rafailov et al. 2023, arXiv:2305.18290, equation 20"
    loss = "palate.objectives.plackett_luce:plackett_luce_loss"

    type: Literal["plackett_luce"] = "plackett_luce"
    beta: Annotated[float, Field(gt=0)] = 0.1
    """How strongly the policy is held to the reference; larger holds it closer."""

    @property
    def reward_scale(self) -> float:
        return self.beta


RANKING_OBJECTIVES: tuple[type[Objective], ...] = (PlackettLuce,)
"""In the order in which they are listed."""
