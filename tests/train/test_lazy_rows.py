from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.train.lazy import Mapped, Rows


class Made:
    """Ten times its place, noting what was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, item: int) -> int:
        self.asked.append(item)
        return 10 * item


def test_an_item_is_made_when_asked_for_and_not_kept() -> None:
    make = Made()
    items = Mapped(range(1, 5), make)
    assert (len(items), make.asked) == (4, [])
    assert (items[2], items[-1], items[1:3]) == (30, 40, [20, 30])
    assert list(items) == [10, 20, 30, 40]
    assert make.asked == [3, 4, 2, 3, 1, 2, 3, 4]
    with pytest.raises(IndexError):
        items[4]


def test_so_is_a_row() -> None:
    make = Made()
    rows = Rows(Mapped(range(5), make), iter([[3, 0], [], [1]]))
    assert (len(rows), make.asked) == (3, [])
    assert rows[0] == [30, 0] and make.asked == [3, 0]
    assert (rows[1], rows[-1], rows[1:]) == ([], [10], [[], [10]])
    with pytest.raises(IndexError):
        rows[3]
    assert list(Rows([1, 2], [])) == []


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=6), st.slices(8))
def test_they_are_lists_to_who_reads_them(cut: list[list[int]], which: slice) -> None:
    items = [f"item {i}" for i in range(10)]
    plain = [[items[i] for i in row] for row in cut]
    rows = Rows(items, cut)
    assert list(rows) == plain and rows[which] == plain[which]
    assert Mapped(items, str.upper)[which] == [item.upper() for item in items[which]]
