"""Votes into the store, from wherever they were cast before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from palate.annotate.ballots import Ballots
from palate.annotate.events import Choice, Event, Item, Side, Task
from palate.records import Comparison, Vote

__all__ = ["ImportedVotes", "ImportingStore", "import_votes"]

_OTHER_SIDE: Mapping[Side, Side] = {"a": "b", "b": "a"}
_OTHER_CHOICE: Mapping[Choice, Choice] = {"a": "b", "b": "a", "tie": "tie", "both_bad": "both_bad"}


class ImportingStore(Protocol):
    """What is asked of a store here."""

    def add_items(self, items: Iterable[tuple[Comparison, Task]]) -> int:
        """Add comparisons; how many are new."""
        ...

    def items(self, after: int = 0) -> list[Item]:
        """All items."""
        ...

    def events(self, after: int = 0) -> list[Event]:
        """All events."""
        ...

    def append_all(self, events: Iterable[Event]) -> list[Event]:
        """Store all of them, or none."""
        ...


@dataclass(frozen=True, slots=True)
class ImportedVotes:
    """Votes in = votes added + votes that were there already."""

    num_votes: int
    num_added: int
    num_known: int
    """Votes that an earlier import brought, that this store once gave out, or that came twice."""
    num_replacing: int
    """Votes, of those added, in whose place the annotator had another one: the newer counts."""
    num_new_items: int


def import_votes(store: ImportingStore, votes: Sequence[Vote], *, source: str) -> ImportedVotes:
    """Add votes as events, and the comparisons they are about as items where they are not there.

    Each vote's detail has its `key`, and as far as they are known `kind`, `repeat`, `left`, `seconds`,
    `task`, `line` and `came_from`. A vote whose key the store has from that annotator is left as it is, so
    that a file can be imported again. All votes are stored, or none. `source` is the file's name.

    Raises:
        KeyReused: a key stands for another vote. StoreUnavailable: nothing was stored.
    """
    num_new = store.add_items([(vote.comparison, vote.detail.get("task") or "label") for vote in votes])
    items = {item.id: item for item in store.items()}
    events = [_event(vote, items[vote.comparison.id], source) for vote in votes]
    stored = store.events()
    known = {(event.annotator, event.key): event for event in stored}
    new = []
    for event in events:
        name = event.annotator, event.key
        if not _is_same(event, known.get(name)):
            new.append(event)
            known[name] = event
    before = Ballots(stored)
    num_added = sum(event.number > before.last_number for event in store.append_all(new))
    return ImportedVotes(
        num_votes=len(events),
        num_added=num_added,
        num_known=len(events) - num_added,
        num_replacing=sum(
            event.kind == "vote" and (event.item, event.repeat) in before.of_annotator(event.annotator)
            for event in new
        ),
        num_new_items=num_new,
    )


def _is_same(event: Event, stored: Event | None) -> bool:
    """But for where it came from: a file that was moved or renamed is the same file."""
    return stored is not None and event == replace(stored, source=event.source, number=0, created_at="")


def _event(vote: Vote, item: Item, source: str) -> Event:
    said, choice = vote.detail, vote.preferred
    left: Side | None = said.get("left")
    if vote.comparison.completion_a != item.comparison.completion_a:  # the item calls its `a` `b`
        choice, left = _OTHER_CHOICE[choice], _OTHER_SIDE[left] if left is not None else None
    return Event(
        key=said["key"],
        annotator=vote.annotator,
        kind=said.get("kind") or "vote",
        item=item.id,
        repeat=said.get("repeat") or 0,
        choice=choice,
        left=left,
        note=vote.note,
        seconds=said.get("seconds"),
        source=said.get("came_from") or f"{Path(source).name}:{said.get('line')}",
    )
