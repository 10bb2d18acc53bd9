"""Options of the objectives that learn from pairs through a scalar score: reward models."""

from __future__ import annotations

from palate.recipe.objective.base import Objective

__all__ = ["SCORE_OBJECTIVES"]

SCORE_OBJECTIVES: tuple[type[Objective], ...] = ()
"""In the order in which they are listed."""
