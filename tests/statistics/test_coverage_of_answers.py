"""Do the intervals of drift, lengths and benchmarks hold the truth over the whole grid?"""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.thorough
@pytest.mark.parametrize(
    "figure",
    [
        "kl_per_token",
        "perplexity",
        "mean_length",
        "growth",
        "benchmark",
        "soft_benchmark",
        "benchmark_group",
        "perplexity_benchmark",
    ],
)
def test_the_whole_grid(whole_grid: Callable[..., None], figure: str) -> None:
    whole_grid(figure, times=300)
