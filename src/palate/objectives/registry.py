"""From an objective's options to its function."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch import Tensor

from palate.errors import RecipeError
from palate.objectives.wpo import wpo_weights
from palate.recipe.objective import Objective, ObjectiveOptions, PairObjective

__all__ = ["objective_for"]


def objective_for(options: ObjectiveOptions) -> Callable[[Any], Tensor]:
    """The objective these options describe: its inputs (`contract.py`) in, `[B]` losses out.

    Raises:
        RecipeError: an installed package's objective names a function that cannot be imported.
    """
    module, _, name = options.loss.partition(":")
    try:
        loss: Callable[[Any, Objective], Tensor] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise RecipeError(
            f"the loss of objective {options.type} cannot be imported",
            where=f"{type(options).__module__}.{type(options).__name__}.loss = {options.loss}",
            why=str(error),
            next="mend or update the package that this objective comes with",
        ) from None
    if isinstance(options, PairObjective) and options.weighting == "wpo":
        return lambda inputs: wpo_weights(inputs) * loss(inputs, options)
    return lambda inputs: loss(inputs, options)
