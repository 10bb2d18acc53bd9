"""One typed YAML recipe is one run."""

from palate.recipe.loading import dump_recipe, load_recipe, parse_recipe, write_recipe
from palate.recipe.objective import DPO, IPO, OBJECTIVES, SFT, Objective, ObjectiveOptions
from palate.recipe.schema import (
    CompareOptions,
    DataOptions,
    LoraOptions,
    ModelOptions,
    Recipe,
    SourceOptions,
    TrainOptions,
)

__all__ = [
    "DPO",
    "IPO",
    "OBJECTIVES",
    "SFT",
    "CompareOptions",
    "DataOptions",
    "LoraOptions",
    "ModelOptions",
    "Objective",
    "ObjectiveOptions",
    "Recipe",
    "SourceOptions",
    "TrainOptions",
    "dump_recipe",
    "load_recipe",
    "parse_recipe",
    "write_recipe",
]
