"""Do the intervals without a judge's errors, and of how often it is right, hold the truth over the grid?"""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.thorough
@pytest.mark.parametrize("figure", ["agreement_corrected", "judge_accuracy"])
def test_the_whole_grid(whole_grid: Callable[..., None], figure: str) -> None:
    whole_grid(figure)
