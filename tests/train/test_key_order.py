"""The order of keys that are not in memory together is that of keys that are."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.train.key_order import key_order

# Few different bytes, so that there are equal keys, and keys that begin others.
keys = st.lists(st.text("\0ab", max_size=5).map(str.encode), max_size=80)


@given(keys, st.integers(1, 20))
def test_it_is_the_order_that_sorting_gives(found: list[bytes], stretch: int) -> None:
    with patch("palate.train.key_order._STRETCH", stretch):
        order = list(key_order(found.__getitem__, len(found)))
    assert order == sorted(range(len(found)), key=found.__getitem__)


@pytest.mark.parametrize("kind", ["shuffled", "sorted", "alike at first"])
def test_few_keys_are_held_at_once(kind: str) -> None:
    """A key that was asked for in the second round is let go of when its stretch has been given out."""
    count, stretch = 4000, 100
    numbers = [(i * 1777) % count if kind == "shuffled" else i for i in range(count)]
    begin = b"a system prompt" * 20 if kind == "alike at first" else b""
    asked = 0

    def key(place: int) -> bytes:
        nonlocal asked
        asked += 1
        return begin + numbers[place].to_bytes(4, "big")

    with patch("palate.train.key_order._STRETCH", stretch):
        order = key_order(key, count)
        first = next(order)
        ahead = [asked - count]  # beyond the first round: the sample, and what the stretches so far took
        for given_out, _ in enumerate(order, start=1):
            ahead.append(asked - count - given_out)
    assert numbers[first] == 0
    # The sample of 16 keys for every 100, and one stretch.
    assert max(ahead) <= 16 * count // stretch + 3 * stretch
