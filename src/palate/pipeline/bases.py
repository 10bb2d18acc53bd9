"""Where the playground's model lies: the one base that neither the Hub nor the file system knows."""

from __future__ import annotations

from pathlib import Path

import torch

from palate.playground import model_folder
from palate.recipe import Recipe
from palate.watcher import Watcher

__all__ = ["PLAYGROUND", "base_folder", "playground_folder"]

PLAYGROUND = "playground"


def base_folder(recipe: Recipe, watcher: Watcher | None = None) -> Path | None:
    """Where the playground's model lies, trained now where it is not; None for every other base."""
    return playground_folder(watcher) if recipe.model.base == PLAYGROUND else None


def playground_folder(watcher: Watcher | None = None) -> Path:
    """The playground's base model, made on first use.

    Sets torch to one thread: the matrices are so small that a second one only waits for the first, and
    where other programs run besides, waits cost many times the work.
    """
    torch.set_num_threads(1)
    watcher = watcher or Watcher()
    begun = False

    def on_progress(step: int, num_steps: int, loss: float) -> None:
        nonlocal begun
        if not begun:
            watcher.begin("making the playground's base model, once on this machine", num_steps)
            begun = True
        watcher.advance(step, f"loss {loss:.3f}")

    try:
        return model_folder(on_progress)
    finally:
        if begun:
            watcher.end()
