"""From an objective's options to its function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from typing import Any

from torch import Tensor

from palate.errors import RecipeError, TrainingError
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
    if options.loss.startswith("palate."):
        return lambda inputs: loss(inputs, options)
    return lambda inputs: _checked(loss(inputs, options), inputs, options)


def _checked(losses: Any, inputs: Any, options: ObjectiveOptions) -> Tensor:
    """What another package's loss gave, if it is one loss for each example: a mean would be broadcast."""
    num_examples = next(len(value) for value in _values(inputs) if isinstance(value, Tensor) and value.ndim)
    if isinstance(losses, Tensor) and losses.shape == (num_examples,) and losses.is_floating_point():
        return losses
    found = f"a tensor {list(losses.shape)} of {losses.dtype}" if isinstance(losses, Tensor) else repr(losses)
    raise TrainingError(
        f"the loss of objective {options.type} is not one number for each example",
        where=options.loss,
        why=f"of {num_examples} examples it made {found[:200]}",
        next="have it return a floating-point tensor of shape [B], not reduced",
    )


def _values(inputs: Any) -> list[Any]:
    return [getattr(inputs, field.name) for field in fields(inputs)]
