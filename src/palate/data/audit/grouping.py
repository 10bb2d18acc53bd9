"""Rows that share a name, found by sorting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Groups", "grouped"]


@dataclass(frozen=True, slots=True)
class Groups:
    """The members of each group side by side, groups by their name, members in their first order."""

    order: NDArray[np.int64]
    """The members, group after group."""
    starts: NDArray[np.int64]
    """Where each group starts in `order`."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many members each group has."""
        return np.diff(np.append(self.starts, len(self.order)))

    def sums(self, values: NDArray) -> NDArray[np.int64]:
        """Of each group, the sum of its members' whole-number values."""
        return np.add.reduceat(values[self.order].astype(np.int64), self.starts)

    def firsts(self) -> NDArray[np.int64]:
        """The first member of each group."""
        return self.order[self.starts]

    def members(self, group: int) -> NDArray[np.int64]:
        """The members of one group."""
        end = self.starts[group + 1] if group + 1 < len(self.starts) else len(self.order)
        return self.order[self.starts[group] : end]


def grouped(names: NDArray) -> Groups:
    """Groups of equal names; there has to be at least one."""
    order = np.argsort(names, kind="stable")
    ordered = names[order]
    return Groups(order, np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])))
