"""What each objective can be told, and what it asks of the loop."""

from palate.recipe.objective.base import Objective
from palate.recipe.objective.pairs import DPO, IPO, SFT
from palate.recipe.objective.registry import OBJECTIVES, ObjectiveOptions

__all__ = ["DPO", "IPO", "OBJECTIVES", "SFT", "Objective", "ObjectiveOptions"]
