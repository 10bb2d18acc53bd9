"""Do the intervals of agreement and of rankings hold the truth over the whole grid?"""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.thorough
@pytest.mark.parametrize("figure", ["kappa", "alpha", "fleiss", "lead", "strength"])
def test_the_whole_grid(whole_grid: Callable[..., None], figure: str) -> None:
    whole_grid(figure, again=500)
