"""Why rows were set aside, counted, with the first places of each reason."""

from __future__ import annotations

from typing import Any

from palate.records import SetAside

__all__ = ["Reasons"]

MAX_PLACES = 5
MAX_REASONS = 1000
"""A reason quotes the data now and then; a file made for it could bring one of its own for every row."""


class Reasons:
    """A tally that does not grow with the rows."""

    def __init__(self) -> None:
        self.num_rows = 0
        self._counts: dict[str, int] = {}
        self._places: dict[str, list[str]] = {}

    def add(self, row: SetAside) -> None:
        """Count one more row."""
        self.num_rows += 1
        is_new = row.reason not in self._counts
        reason = "another reason" if is_new and len(self._counts) >= MAX_REASONS else row.reason
        self._counts[reason] = self._counts.get(reason, 0) + 1
        places = self._places.setdefault(reason, [])
        if len(places) < MAX_PLACES:
            places.append(row.place)

    def as_data(self) -> list[dict[str, Any]]:
        """Each reason with its `count` and its first `places`, the most frequent first."""
        ordered = sorted(self._counts.items(), key=lambda item: -item[1])
        return [
            {"reason": reason, "count": count, "places": self._places[reason]} for reason, count in ordered
        ]
