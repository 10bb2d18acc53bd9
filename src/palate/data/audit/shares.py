"""How sure a share is, where rows of one prompt are alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palate.data.audit.grouping import grouped

__all__ = ["Share", "clustered_share"]

_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95% interval."""

    num: int
    of: int
    lower: float
    upper: float
    design_effect: float
    """By how much rows of one prompt being alike makes the variance larger; at least 1."""

    @property
    def value(self) -> float:
        """The share itself."""
        return self.num / self.of

    def as_dict(self) -> dict[str, Any]:
        """For figures."""
        return {
            "share": self.value,
            "num": self.num,
            "of": self.of,
            "lower": self.lower,
            "upper": self.upper,
            "design_effect": self.design_effect,
        }


def clustered_share(right: NDArray[np.bool_], clusters: NDArray) -> Share | None:
    """The share of rows that are right; None of no rows. `clusters` names what rows belong together.

    The interval is Wilson's, for as many rows as would be worth the same if they were independent: their
    number over the design effect, which is the variance of the share between clusters over the one that
    independent rows would have. Where all rows are alike that cannot be told, and every cluster counts once.
    """
    if not len(right):
        return None
    num, of = int(right.sum()), len(right)
    share = num / of
    groups = grouped(clusters)
    num_clusters = len(groups.starts)
    if num in (0, of) or num_clusters == 1:
        effect = of / num_clusters
    else:
        deviations = groups.sums(right) - share * groups.sizes
        variance = float((deviations**2).sum()) / of**2 * num_clusters / (num_clusters - 1)
        effect = max(1.0, variance / (share * (1 - share) / of))
    lower, upper = _wilson(share, of / effect)
    return Share(num, of, lower, upper, effect)


def _wilson(share: float, num: float) -> tuple[float, float]:
    """Wilson's 95% interval (E. B. Wilson, JASA 22, 1927)."""
    z2 = _Z95**2
    middle = (share + z2 / (2 * num)) / (1 + z2 / num)
    half = _Z95 / (1 + z2 / num) * math.sqrt(share * (1 - share) / num + z2 / (4 * num**2))
    return max(0.0, middle - half), min(1.0, middle + half)
