"""`palate plan`: what a run will do and take, before it does."""

from __future__ import annotations

from typing import Any

from palate.pipeline.bases import base_folder
from palate.pipeline.preferences import open_source
from palate.recipe import Recipe
from palate.train.plan import plan_run
from palate.train.probe import probe_run
from palate.watcher import Watcher

__all__ = ["plan_recipe"]


def plan_recipe(recipe: Recipe, watcher: Watcher | None = None, *, probe: bool = False) -> dict[str, Any]:
    """Steps, tokens, memory and disk of the training a recipe asks for (docs/plan.md says what each means).

    With `probe` the model is loaded and two steps are taken, apart from any run folder, and what they took
    goes beside what was planned.

    Raises:
        CallError: the recipe, data or model cannot be used.
    """
    watcher = watcher or Watcher()
    train_records = open_source(recipe.data.train, recipe.data.system)
    held_out = recipe.data.eval
    eval_records = open_source(held_out, recipe.data.system) if held_out is not None else None
    base = base_folder(recipe, watcher)
    plan = plan_run(recipe, train_records, eval_records, watcher, base)
    plan["probe"] = probe_run(recipe, plan, train_records, watcher, base) if probe else None
    return plan
