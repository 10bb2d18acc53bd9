"""Options of the objectives that learn from rankings."""

from __future__ import annotations

from palate.recipe.objective.base import Objective

__all__ = ["RANKING_OBJECTIVES"]

RANKING_OBJECTIVES: tuple[type[Objective], ...] = ()
"""In the order in which they are listed."""
