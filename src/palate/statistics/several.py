"""Several tests at once: one more test is not to be one more chance to err."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

__all__ = ["shown_together"]

Key = TypeVar("Key", bound=Hashable)


def shown_together(p_values: Mapping[Key, float], most: float = 0.05) -> set[Key]:
    """Those that stand with all taken together (Holm, Scandinavian Journal of Statistics 6, 1979).

    Of tests that have nothing to show, one or more stands at most `most` of the time, however they hang
    together.

    Args:
        p_values: of each test, by any name.
        most: how often chance alone may show anything.
    """
    shown: set[Key] = set()
    for key, p in sorted(p_values.items(), key=lambda item: item[1]):
        if p * (len(p_values) - len(shown)) > most:
            break
        shown.add(key)
    return shown
