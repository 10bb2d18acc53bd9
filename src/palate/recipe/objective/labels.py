"""Options of the objectives that learn from single completions with a thumb up or down."""

from __future__ import annotations

from palate.recipe.objective.base import Objective

__all__ = ["LABEL_OBJECTIVES"]

LABEL_OBJECTIVES: tuple[type[Objective], ...] = ()
"""In the order in which they are listed."""
