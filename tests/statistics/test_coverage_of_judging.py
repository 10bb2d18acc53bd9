"""Do the other intervals of a win rate hold the truth over the whole grid?"""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.thorough
@pytest.mark.parametrize("figure", ["bootstrap", "soft", "length_controlled"])
def test_the_whole_grid(whole_grid: Callable[..., None], figure: str) -> None:
    whole_grid(figure)
