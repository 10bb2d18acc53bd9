"""Which votes count now: events folded one after another, in the order of their numbers.

A vote replaces the same annotator's earlier vote on the same item. An undo takes one event back, and what
that one had replaced counts again. A skip says "later". The last word on an item is its latest adjudication.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import TypeAlias

from palate.annotate.events import Event

__all__ = ["Ballots", "Showing"]

Showing: TypeAlias = tuple[str, int]
"""An item's id and its repeat: 0 for the first time it is shown, 1 for the second."""

_NONE: Mapping[Showing, Event] = {}
_NOBODY: Set[str] = frozenset()


class Ballots:
    """The current votes of any number of annotators.

    Folding is incremental: `apply` what the store has after `last_number`, in order, as often as wished. It
    is not locked: whoever shares one among threads applies and asks under a lock of their own.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.last_number = 0
        """The number of the newest event that was applied."""
        self.changes: list[str] = []
        """The items whose votes may have changed, one for each event: readers keep their place in it."""
        self._live: dict[tuple[str, str], Event] = {}
        self._stacks: dict[tuple[str, str, int], list[Event]] = {}
        self._adjudications: dict[str, list[Event]] = {}
        self._by_item: dict[str, dict[tuple[str, int], Event]] = {}
        self._of_annotator: dict[str, dict[Showing, Event]] = {}
        self._voters: dict[str, set[str]] = {}
        self._skipped: dict[str, set[Showing]] = {}
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Fold one more event.

        An undo whose event is not there, or was taken back before, changes nothing: the store refuses such.

        Raises:
            ValueError: its number does not rise above those before it: the order of events is what they mean.
        """
        if event.number <= self.last_number:
            raise ValueError(f"event {event.number} after event {self.last_number}: their numbers rise")
        self.last_number = event.number
        if event.kind == "undo":
            taken = self._live.pop((event.annotator, event.undoes or ""), None)
            if taken is not None:
                self._stack(taken).remove(taken)
                self._settle(taken)
            return
        self._live[event.annotator, event.key] = event
        self._stack(event).append(event)
        self._settle(event)

    def _stack(self, event: Event) -> list[Event]:
        """The live events of one kind of place: what was said there, the newest last."""
        if event.kind == "adjudicate":
            return self._adjudications.setdefault(event.item, [])
        return self._stacks.setdefault((event.annotator, event.item, event.repeat), [])

    def _settle(self, event: Event) -> None:
        """Bring what is asked for up to date with one place."""
        self.changes.append(event.item)
        if event.kind == "adjudicate":
            return
        name, showing = event.annotator, (event.item, event.repeat)
        stack = self._stack(event)
        vote = next((said for said in reversed(stack) if said.kind == "vote"), None)
        of_item = self._by_item.setdefault(event.item, {})
        of_annotator = self._of_annotator.setdefault(name, {})
        voters = self._voters.setdefault(event.item, set())
        skipped = self._skipped.setdefault(name, set())
        if vote is None:
            of_item.pop((name, event.repeat), None)
            of_annotator.pop(showing, None)
        else:
            of_item[name, event.repeat] = vote
            of_annotator[showing] = vote
        if event.repeat == 0:
            (voters.discard if vote is None else voters.add)(name)
        (skipped.add if stack and vote is None else skipped.discard)(showing)

    def votes(self) -> list[Event]:
        """All votes that count, in the order of their numbers; repeats among them, adjudications not."""
        found = [vote for votes in self._of_annotator.values() for vote in votes.values()]
        return sorted(found, key=_number)

    @property
    def by_item(self) -> Mapping[str, Mapping[tuple[str, int], Event]]:
        """The votes on each item by `(annotator, repeat)`. An item whose votes were undone may be empty."""
        return self._by_item

    @property
    def annotators(self) -> list[str]:
        """Everybody who ever voted or skipped, by name."""
        return sorted(self._of_annotator)

    def of_annotator(self, name: str) -> Mapping[Showing, Event]:
        """The votes of one annotator by `(item, repeat)`."""
        return self._of_annotator.get(name, _NONE)

    def first_votes(self, item: str) -> dict[str, Event]:
        """Each annotator's vote on an item, by name: of two showings the first."""
        votes = self._by_item.get(item, {})
        return {name: votes[name, repeat] for name, repeat in sorted(votes) if repeat == 0}

    def voters(self, item: str) -> Set[str]:
        """Who has voted on an item, shown for the first time."""
        return self._voters.get(item, _NOBODY)

    def skipped_by(self, name: str) -> Set[Showing]:
        """What an annotator put off and has not voted on since."""
        return self._skipped.get(name, frozenset())

    def adjudication(self, item: str) -> Event | None:
        """The last word on an item, whoever said it."""
        said = self._adjudications.get(item)
        return said[-1] if said else None

    def adjudications(self) -> list[Event]:
        """The last word on each item that has one, in the order of their numbers."""
        return sorted((said[-1] for said in self._adjudications.values() if said), key=_number)


def _number(event: Event) -> int:
    return event.number
