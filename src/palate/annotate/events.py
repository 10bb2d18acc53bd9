"""What a person did, as it is stored: events that are only ever added. What counts now follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from palate.records import Comparison

__all__ = ["Choice", "Event", "EventKind", "Item", "Side", "Task"]

Task = Literal["label", "compare"]
"""Why a comparison is shown: to make a training pair of it, or to learn which of two models is better."""

Side = Literal["a", "b"]

Choice = Literal["a", "b", "tie", "both_bad"]
"""As the comparison names its completions, wherever they stood on the screen."""

EventKind = Literal["vote", "skip", "undo", "adjudicate"]
"""A vote or a skip; an undo of an earlier event; the last word on an item that people disagree on."""


@dataclass(frozen=True, slots=True)
class Item:
    """A comparison in the store. Its number is its place in the order in which items came in, from 1."""

    comparison: Comparison
    task: Task
    number: int

    @property
    def id(self) -> str:
        """The comparison's: the same two completions of a prompt are one item, however often they come."""
        return self.comparison.id


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that one annotator did.

    `key` is made by whoever sends the event, one for each thing done: sent again after a lost network, the
    event is stored once. `number` is given by the store, rises, and is 0 before that.
    """

    key: str
    annotator: str
    kind: EventKind
    item: str
    """The item's id."""
    repeat: int = 0
    """0 the first time this annotator is shown the item; 1 where it comes again: does the vote hold?"""
    choice: Choice | None = None
    """Of a vote or an adjudication; None for the others."""
    left: Side | None = None
    """Which completion stood on the left (first, on a narrow screen)."""
    note: str = ""
    seconds: float | None = None
    """From being shown to being chosen, as the page measured it."""
    undoes: str | None = None
    """The key of the event that an undo takes back: one of the same annotator's."""
    source: str = ""
    """Where it came from, where that is not the page: the imported file and line."""
    created_at: str = ""
    """UTC, ISO 8601, given by the store."""
    number: int = 0
