"""The order of keys that do not fit in memory together.

Every key is made twice: once to tell its stretch of the order, once to put that stretch in order. What stays
in memory is a number for each, a sample of the keys, and the keys of one stretch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["key_order"]

# How many keys are in memory at once, about; the order does not depend on it.
_STRETCH = 8192
# A stretch between two of a random sample's keys is seldom twice as long as meant, where this many of the
# sample lie within it.
_SAMPLES_A_STRETCH = 16


def key_order(key: Callable[[int], bytes], count: int) -> Iterator[int]:
    """The numbers below `count` in the order of `key(number)`; of equal keys the lower number comes first."""
    if count <= _STRETCH:
        yield from sorted(range(count), key=key)
        return
    bounds = _bounds(key, count)
    found = np.fromiter((bisect_right(bounds, key(i)) for i in range(count)), np.int32, count)
    by_stretch = np.argsort(found, kind="stable")
    stops = np.cumsum(np.bincount(found, minlength=len(bounds) + 1))
    for members in np.split(by_stretch, stops[:-1]):
        yield from sorted(members.tolist(), key=key)


def _bounds(key: Callable[[int], bytes], count: int) -> list[bytes]:
    """Keys between which stretches of about equal length lie."""
    num_samples = min(count, _SAMPLES_A_STRETCH * count // _STRETCH)
    sample: npt.NDArray[np.int64] = np.random.default_rng(0).choice(count, num_samples, replace=False)
    return sorted(key(i) for i in sample.tolist())[::_SAMPLES_A_STRETCH]
