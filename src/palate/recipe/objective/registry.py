"""Every objective there is: those that come with Palate, and those of installed packages.

A package adds one by an entry point in the group `palate.objectives` that names its options class, a subclass
of `palate.recipe.Objective`; see docs/objectives.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from palate.recipe.objective.base import Objective
from palate.recipe.objective.labels import LABEL_OBJECTIVES
from palate.recipe.objective.pairs import PAIR_OBJECTIVES
from palate.recipe.objective.rankings import RANKING_OBJECTIVES
from palate.recipe.objective.scores import SCORE_OBJECTIVES

__all__ = ["OBJECTIVES", "ObjectiveOptions"]

_BUILT_IN = (*PAIR_OBJECTIVES, *LABEL_OBJECTIVES, *RANKING_OBJECTIVES, *SCORE_OBJECTIVES)

OBJECTIVES: dict[str, type[Objective]] = {kind.model_fields["type"].default: kind for kind in _BUILT_IN}
"""Every objective by the name recipes use."""

if TYPE_CHECKING:
    ObjectiveOptions = Objective
else:
    # Which there are is known only now, so the union is made of what was found.
    ObjectiveOptions = Annotated[Union[tuple(OBJECTIVES.values())], Field(discriminator="type")]  # noqa: UP007
