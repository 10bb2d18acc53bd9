"""What each objective can be told, and what it asks of the loop."""

from palate.recipe.objective.base import Objective
from palate.recipe.objective.labels import BCO, KTO, APOZeroUnpaired
from palate.recipe.objective.pairs import (
    AOT,
    CPO,
    DPO,
    DPOP,
    EXO,
    IPO,
    MPO,
    NCA,
    ORPO,
    RPO,
    SFT,
    AOTUnpaired,
    APODown,
    APOZero,
    BCOPair,
    DiscoPOP,
    Hinge,
    MPOTerm,
    PairObjective,
    SimPO,
    SPPOHard,
)
from palate.recipe.objective.rankings import PlackettLuce
from palate.recipe.objective.registry import OBJECTIVES, ObjectiveOptions
from palate.recipe.objective.scores import BradleyTerry

__all__ = [
    "AOT",
    "BCO",
    "CPO",
    "DPO",
    "DPOP",
    "EXO",
    "IPO",
    "KTO",
    "MPO",
    "NCA",
    "OBJECTIVES",
    "ORPO",
    "RPO",
    "SFT",
    "AOTUnpaired",
    "APODown",
    "APOZero",
    "APOZeroUnpaired",
    "BCOPair",
    "BradleyTerry",
    "DiscoPOP",
    "Hinge",
    "MPOTerm",
    "Objective",
    "ObjectiveOptions",
    "PairObjective",
    "PlackettLuce",
    "SPPOHard",
    "SimPO",
]
