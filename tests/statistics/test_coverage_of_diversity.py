"""Do the intervals of distinct n-grams and self-BLEU hold the truth over the whole grid?"""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.thorough
@pytest.mark.parametrize("figure", ["distinct_1", "distinct_2", "distinct_3", "self_bleu"])
def test_the_whole_grid(whole_grid: Callable[..., None], figure: str) -> None:
    whole_grid(figure, again=300)
