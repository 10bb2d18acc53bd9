"""How far two bodies of counts are from each other: Jensen-Shannon and Burrows's delta."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["burrows_delta", "jensen_shannon"]

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


def burrows_delta(
    first_RV: Floats, second_RV: Floats, units_UV: Floats, *, num_features: int = 150
) -> Floats:
    """Burrows's delta (2002): the mean difference of z-scored frequencies of the commonest features.

    Args:
        first_RV: counts of one body, R times.
        second_RV: counts of the other body, R times.
        units_UV: counts of single texts, which say which features are the commonest and how much each
            varies from text to text; the same for all rows, so that rows can be compared.
        num_features: how many of the commonest.

    Returns:
        R deltas: 1 says that frequencies differ by one standard deviation between texts, on average. NaN
        where a side has no counts, or nothing varies.
    """
    frequencies = units_UV / np.maximum(units_UV.sum(axis=1, keepdims=True), 1)
    # Stable: of equally common features the first by name, on every machine.
    commonest = np.argsort(-units_UV.sum(axis=0), kind="stable")[:num_features]
    spread = frequencies[:, commonest].std(axis=0, ddof=1) if len(units_UV) > 1 else np.zeros(len(commonest))
    varying = commonest[spread > 0]
    if not len(varying):
        return np.full(len(first_RV), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = first_RV[:, varying] / first_RV.sum(axis=1, keepdims=True)
        q = second_RV[:, varying] / second_RV.sum(axis=1, keepdims=True)
    return np.abs((p - q) / spread[spread > 0]).mean(axis=1)
