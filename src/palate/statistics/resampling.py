"""The bootstrap over prompts, for figures that are functions of sums.

Several answers to one prompt are not independent witnesses, so what is weighed anew is a prompt with all that
belongs to it. Each prompt's sums are formed once, and a resample is one row of a matrix product.

It is the Bayesian bootstrap (Rubin, Annals of Statistics 9, 1981): a resample weighs every prompt by a random
number instead of leaving some out, so no resample lacks a label or a player that the data have. Two additions
keep it honest where prompts are few. One more prompt stands beside them, spread evenly over everything that
could have come: without it, twenty agreements out of twenty would be certainty. And the quantiles are those
of the expanded percentile interval (Hesterberg, The American Statistician 69, 2015): few prompts show less
than the spread of all.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NUM_RESAMPLES", "interval_around", "places", "resampled_sums"]

NUM_RESAMPLES = 2_000
"""Enough that another seed moves an end by some hundredths of the interval's width."""

_NUM_WEIGHTS_AT_ONCE = 2_000_000


def places(names: Iterable[Hashable]) -> dict[Hashable, int]:
    """Each name's number, in an order that depends on nothing but the names: not on a set's, nor a dict's."""
    return {name: place for place, name in enumerate(sorted(set(names), key=_sorting))}


def resampled_sums(
    sums: Any, possible: Any, *, seed: int, num_resamples: int
) -> Iterator[NDArray[np.float64]]:
    """The sums of prompts that are weighed at random, the weights of all adding up to their number.

    Args:
        sums: [prompts, figures], an array or a sparse matrix.
        possible: [outcomes, figures], what a prompt of one outcome only would have, for each outcome that
            there could be: the prompt beside the others is made of all of them.
        seed: the same seed gives the same weights, by place.
        num_resamples: how many in all.

    Yields:
        [some resamples, figures], in parts that fit into memory.
    """
    num_prompts, num_outcomes = sums.shape[0], possible.shape[0]
    generator = np.random.default_rng(seed)
    at_once = max(_NUM_WEIGHTS_AT_ONCE // (num_prompts + num_outcomes), 1)
    for start in range(0, num_resamples, at_once):
        num = min(at_once, num_resamples - start)
        weights = generator.standard_exponential((num, num_prompts))
        beside = generator.standard_gamma(1 / num_outcomes, (num, num_outcomes))
        total = weights.sum(axis=1, keepdims=True) + beside.sum(axis=1, keepdims=True)
        yield np.asarray((weights @ sums + beside @ possible) * ((num_prompts + 1) / total))


def interval_around(value: float, resampled: NDArray[np.float64], num_prompts: int) -> tuple[float, float]:
    """The 95% interval of a figure from its resamples; it holds the figure itself.

    Args:
        value: the figure.
        resampled: [resamples], the same of each.
        num_prompts: two or more.
    """
    from scipy.special import ndtr, stdtrit

    tail = float(ndtr(-math.sqrt(num_prompts / (num_prompts - 1)) * stdtrit(num_prompts - 1, 0.975)))
    low, high = np.quantile(resampled, [tail, 1 - tail]).tolist()
    return min(low, value), max(high, value)


def _sorting(name: Hashable) -> tuple[str, str]:
    return type(name).__name__, repr(name)
