"""What each objective can be told, and what it asks of the loop."""

from palate.recipe.objective.base import Objective
from palate.recipe.objective.labels import BCO, KTO, APOZeroUnpaired
from palate.recipe.objective.pairs import DPO, IPO, SFT
from palate.recipe.objective.rankings import PlackettLuce
from palate.recipe.objective.registry import OBJECTIVES, ObjectiveOptions
from palate.recipe.objective.scores import BradleyTerry

__all__ = [
    "BCO",
    "DPO",
    "IPO",
    "KTO",
    "OBJECTIVES",
    "SFT",
    "APOZeroUnpaired",
    "BradleyTerry",
    "Objective",
    "ObjectiveOptions",
    "PlackettLuce",
]
