"""Tests taken together, by hand."""

from __future__ import annotations

from palate.statistics.several import shown_together


def test_holm_by_hand() -> None:
    """0.01 x 4 = 0.04 stands, 0.016 x 3 = 0.048 does, 0.026 x 2 = 0.052 does not, and none after it."""
    assert shown_together({"a": 0.016, "b": 0.026, "c": 0.01, "d": 0.027}) == {"a", "c"}
    assert shown_together({"a": 0.04}) == {"a"}
    assert shown_together({"a": 0.04, "b": 0.9}) == set()
    assert shown_together({}) == set()
