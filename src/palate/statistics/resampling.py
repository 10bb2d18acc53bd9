"""The bootstrap over clusters: what is drawn is whole prompts, with all that belongs to each.

Several answers to one prompt are not independent witnesses, so a resample takes prompts, not rows. Every
statistic here is a function of sums: each cluster's are formed once, and a resample is one row of a matrix
product.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NUM_RESAMPLES", "percentile_interval", "places", "resampled_sums"]

NUM_RESAMPLES = 2_000
"""Enough for the 2.5% and 97.5% quantiles: they then vary by some hundredths of the interval's width."""

_NUM_DRAWS_AT_ONCE = 2_000_000


def places(names: Iterable[Hashable]) -> dict[Hashable, int]:
    """Each name's number, in an order that depends on nothing but the names: not on a set's, nor a dict's."""
    return {name: place for place, name in enumerate(sorted(set(names), key=_sorting))}


def resampled_sums(sums: Any, *, seed: int, num_resamples: int) -> Iterator[NDArray[np.float64]]:
    """The sums of resampled clusters: as many of them as there are, drawn with replacement.

    Args:
        sums: [clusters, figures], an array or a sparse matrix.
        seed: the same seed draws the same clusters, by their place.
        num_resamples: how many in all.

    Yields:
        [some resamples, figures], in parts that fit into memory.
    """
    num_clusters = sums.shape[0]
    generator = np.random.default_rng(seed)
    at_once = max(_NUM_DRAWS_AT_ONCE // num_clusters, 1)
    for start in range(0, num_resamples, at_once):
        num = min(at_once, num_resamples - start)
        drawn = generator.integers(num_clusters, size=(num, num_clusters))
        drawn += num_clusters * np.arange(num)[:, None]
        times = np.bincount(drawn.ravel(), minlength=num * num_clusters).reshape(num, num_clusters)
        yield np.asarray(times.astype(np.float64) @ sums)


def percentile_interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """The middle 95% of the values that are numbers; None where fewer than half are."""
    finite = values[np.isfinite(values)]
    if not len(finite) or 2 * len(finite) < len(values):
        return None
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def _sorting(name: Hashable) -> tuple[str, str]:
    return type(name).__name__, repr(name)
