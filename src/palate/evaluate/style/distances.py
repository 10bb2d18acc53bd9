"""How far two bodies of counts are from each other: Jensen-Shannon and Burrows's delta."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = ["Yardstick", "burrows_delta", "jensen_shannon", "yardstick_of"]

Floats = NDArray[np.float64]


def jensen_shannon(first_RV: Floats, second_RV: Floats) -> Floats:
    """The Jensen-Shannon distance of two frequency distributions, in 0..1, row by row.

    The square root of the divergence in bits: sqrt((KL(p || m) + KL(q || m)) / 2), m = (p + q) / 2
    (Lin 1991; Endres and Schindelin 2003 for the root, which is a metric).

    Args:
        first_RV: counts or frequencies, R rows of V features; rows are scaled to sum to 1.
        second_RV: as many.

    Returns:
        R distances; NaN where a side has no counts at all.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        p = first_RV / first_RV.sum(axis=1, keepdims=True)
        q = second_RV / second_RV.sum(axis=1, keepdims=True)
        middle = (p + q) / 2
        divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return np.sqrt(np.clip(divergence, 0.0, 1.0))


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    terms = np.where(p > 0, p * np.log2(p / q), 0.0)
    # A row of 0/0 is no distribution: say so instead of calling it equal to everything.
    return np.where(np.isnan(p).any(axis=1), np.nan, terms.sum(axis=1))


@dataclass(frozen=True, slots=True)
class Yardstick:
    """By what Burrows's delta measures: the commonest features that vary from text to text."""

    features: NDArray[np.int64]
    """Their columns; none where nothing varies."""
    spread: Floats
    """The standard deviation of each one's frequency between texts."""


def yardstick_of(units_UV: csr_array, *, num_features: int = 150) -> Yardstick:
    """Read off single texts.

    Args:
        units_UV: counts of U texts.
        num_features: how many of the commonest.
    """
    totals = np.asarray(units_UV.sum(axis=1), dtype=np.float64)
    # Stable: of equally common features the first by name, on every machine.
    commonest = np.argsort(-np.asarray(units_UV.sum(axis=0)), kind="stable")[:num_features]
    frequencies = units_UV[:, commonest].toarray() / np.maximum(totals, 1)[:, None]
    spread = frequencies.std(axis=0, ddof=1) if len(totals) > 1 else np.zeros(len(commonest))
    # What is the same everywhere varies by rounding alone.
    varies = spread > 1e-12
    return Yardstick(commonest[varies], spread[varies])


def burrows_delta(first_RV: Floats, second_RV: Floats, yardstick: Yardstick) -> Floats:
    """Burrows's delta (2002): the mean difference of z-scored frequencies of the commonest features.

    Args:
        first_RV: counts of one body, R times.
        second_RV: counts of the other body, R times.
        yardstick: the same for all rows, so that rows can be compared.

    Returns:
        R deltas: 1 says that frequencies differ by one standard deviation between texts, on average. NaN
        where a side has no counts, or nothing varies.
    """
    if not len(yardstick.features):
        return np.full(len(first_RV), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = first_RV[:, yardstick.features] / first_RV.sum(axis=1, keepdims=True)
        q = second_RV[:, yardstick.features] / second_RV.sum(axis=1, keepdims=True)
    return np.abs((p - q) / yardstick.spread).mean(axis=1)
