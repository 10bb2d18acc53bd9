"""Long sequences whose items are made when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt

__all__ = ["Mapped", "Rows"]

T = TypeVar("T")
U = TypeVar("U")
IntArray = npt.NDArray[np.int64]


class Mapped(Sequence[U]):
    """What `make` makes of each item, made on access."""

    def __init__(self, items: Sequence[T], make: Callable[[T], U]) -> None:
        # One function of the place, so that what the items are need not be told.
        self._at: Callable[[int], U] = lambda place: make(items[place])
        self._length = len(items)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, which: int) -> U: ...
    @overload
    def __getitem__(self, which: slice) -> list[U]: ...
    def __getitem__(self, which: int | slice) -> U | list[U]:
        if isinstance(which, slice):
            return [self._at(place) for place in range(self._length)[which]]
        return self._at(range(self._length)[which])


class Rows(Sequence[list[T]]):
    """Items in rows. A row is made on access; which items are in it is 8 bytes an item."""

    def __init__(self, items: Sequence[T], cut: Iterable[Sequence[int]]) -> None:
        lengths: list[int] = []

        def noted(row: Sequence[int]) -> Sequence[int]:
            lengths.append(len(row))
            return row

        self._items = items
        self._places = np.fromiter(chain.from_iterable(map(noted, cut)), np.int64)
        self._stops = np.cumsum(np.array([0, *lengths], np.int64))

    def __len__(self) -> int:
        return len(self._stops) - 1

    @overload
    def __getitem__(self, which: int) -> list[T]: ...
    @overload
    def __getitem__(self, which: slice) -> list[list[T]]: ...
    def __getitem__(self, which: int | slice) -> list[T] | list[list[T]]:
        if isinstance(which, slice):
            return [self[row] for row in range(len(self))[which]]
        row = range(len(self))[which]
        places = self._places[self._stops[row] : self._stops[row + 1]]
        return [self._items[place] for place in places.tolist()]
