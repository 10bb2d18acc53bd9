"""Which rows hold which of very many things, where most things turn out rare and are forgotten."""

from __future__ import annotations

from array import array
from collections.abc import Collection

import numpy as np

__all__ = ["Holders"]


class Holders:
    """Rows by the number of what they hold: 8 bytes for each, until it is forgotten."""

    def __init__(self) -> None:
        self._held, self._rows = array("I"), array("I")
        self._num_sifted = 0

    def add(self, held: int, row: int) -> None:
        """This row holds it; naming it twice changes nothing."""
        self._held.append(held)
        self._rows.append(row)

    def forget_others(self, kept: Collection[int]) -> None:
        """Of what came since this was asked last, let go what is none of these."""
        first = self._num_sifted
        held, rows = np.array(self._held[first:], np.uint32), np.array(self._rows[first:], np.uint32)
        stays = np.isin(held, np.fromiter(kept, np.uint32))
        del self._held[first:], self._rows[first:]
        self._held.frombytes(held[stays].tobytes())
        self._rows.frombytes(rows[stays].tobytes())
        self._num_sifted = len(self._held)

    def num_rows(self, held: Collection[int]) -> int:
        """How many rows hold at least one of these."""
        holds = np.isin(np.array(self._held, np.uint32), np.fromiter(held, np.uint32))
        return len(np.unique(np.array(self._rows, np.uint32)[holds]))
