"""A store in use: what its annotators are shown, what they did, and how far each of them is."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection
from typing import Any

from palate.annotate.ballots import Ballots, Showing
from palate.annotate.events import Choice, Event, Item, Side
from palate.annotate.inputs import SentChoice, SentEvent
from palate.annotate.pooling import disagreements, pool_votes
from palate.annotate.queue import Progress, Queue, side_on_left
from palate.annotate.settings import read_settings
from palate.annotate.store import VoteStore
from palate.records import Messages

__all__ = ["IDENTITY", "Voting"]

MAX_DISAGREEMENTS = 50
"""The most items to adjudicate that are given out at once."""

IDENTITY = "identity"
"""The setting that a store has once it was served, and not before."""


class _Known:
    """What is in memory of a store. It is not locked."""

    def __init__(self, store: VoteStore) -> None:
        self._store = store
        self.ballots = Ballots()
        self.items: list[Item] = []

    def catch_up(self) -> list[Item]:
        """Fold what the store has beyond what is known; returns the items that are new."""
        # Events first: an item that one of them is about is in the store before it.
        events = self._store.events(after=self.ballots.last_number)
        items = self._store.items(after=self.items[-1].number if self.items else 0)
        for event in events:
            self.ballots.apply(event)
        self.items += items
        return items


class Voting:
    """One process's view of a store, for any number of threads.

    Votes are folded in memory, and before each answer what the store has beyond them: with several servers on
    one store, each knows what the others took in. An event is on the store's disk before anything is said.
    """

    def __init__(self, store: VoteStore) -> None:
        """Read all that the store holds.

        Raises:
            StoreUnavailable: it cannot be read. CallError: its settings have no meaning.
        """
        self.store = store
        self.settings = read_settings(store)
        self._lock = threading.Lock()
        self._known = _Known(store)
        self._queue = Queue(self._known.catch_up(), self.settings)
        # The dashboard's figures take a while, and nobody's vote waits for them: they have their own.
        self._overview_lock = threading.Lock()
        self._overview = _Known(store)
        self._standings: dict[bool, tuple[tuple[int, int], dict[str, Any]]] = {}

    @property
    def identity(self) -> str:
        """Names the store without saying where it is; made up when it is first asked for.

        Raises:
            StoreUnavailable: the store cannot be read or written.
        """
        known = self.store.setting(IDENTITY)
        return str(self.store.settled(IDENTITY, secrets.token_hex(8)) if known is None else known)

    @property
    def num_items(self) -> int:
        """How many items there are to vote on."""
        return len(self._known.items)

    @property
    def num_votes(self) -> int:
        """How many votes count now."""
        with self._lock:
            return len(self._known.ballots.votes())

    def next(self, annotator: str, count: int, held: Collection[Showing]) -> dict[str, Any]:
        """What to show an annotator next, beyond what the page holds; nothing in it says who wrote what.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        with self._lock:
            self._catch_up()
            shown = self._queue.next_items(self._known.ballots, annotator, count, held=held)
            progress = self._queue.progress(self._known.ballots, annotator).as_dict()
        return {
            "items": [{**_sides(one.item, one.left), "repeat": one.repeat} for one in shown],
            "progress": progress,
            "question": self.settings.question,
        }

    def record(self, sent: SentEvent) -> dict[str, Any]:
        """Store what an annotator did. What is returned is true only because it is on the disk already.

        Raises:
            EventRefused: the store does not take it, now or later. StoreUnavailable: it did not get there.
        """
        left = side_on_left(self.settings.seed, sent.annotator, sent.item, sent.repeat)
        stored = self.store.append(
            Event(
                key=sent.key,
                annotator=sent.annotator,
                kind=sent.kind,
                item=sent.item,
                repeat=sent.repeat,
                choice=_choice(sent.choice, left),
                left=left,
                note=sent.note,
                seconds=sent.seconds,
                undoes=sent.undoes,
            )
        )
        with self._lock:
            self._catch_up()
            progress = self._queue.progress(self._known.ballots, sent.annotator).as_dict()
        return {"stored": True, "number": stored.number, "progress": progress}

    def standing(self, *, reveal: bool) -> dict[str, Any]:
        """Where the voting stands; worked out anew only when there is something new.

        Args:
            reveal: whether models are called by their names.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        # scipy comes along, and nobody who wants to vote waits for it.
        from palate.annotate.standing import standing

        with self._overview_lock:
            self._overview.catch_up()
            ballots, items = self._overview.ballots, self._overview.items
            of = (ballots.last_number, len(items))
            known = self._standings.get(reveal)
            if known is None or known[0] != of:
                found = standing(ballots, items, self.settings, reveal=reveal).as_dict()
                known = self._standings[reveal] = (of, found)
            return known[1]

    def disagreements(self, annotator: str) -> dict[str, Any]:
        """What people disagree on, to be adjudicated by an annotator: blind, as it was when they voted.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        with self._overview_lock:
            self._overview.catch_up()
            pooled = pool_votes(self._overview.ballots, self._overview.items)
        found = disagreements(pooled)
        done = sum(vote.adjudicated_by is not None for vote in pooled)
        shown = [
            {**_sides(vote.item, side_on_left(self.settings.seed, annotator, vote.id, 0)), "repeat": 0}
            for vote in found[:MAX_DISAGREEMENTS]
        ]
        progress = Progress(done, len(found), done + len(found), None, not found)
        return {"items": shown, "progress": progress.as_dict(), "question": self.settings.question}

    def _catch_up(self) -> None:
        """Only under the lock."""
        items = self._known.catch_up()
        if items:
            self._queue.add(items)


def _sides(item: Item, left: Side) -> dict[str, Any]:
    """An item as it is shown: its completions by where they stand."""
    comparison = item.comparison
    sides = (comparison.completion_a, comparison.completion_b)
    first, second = sides if left == "a" else sides[::-1]
    return {
        "item": item.id,
        "task": item.task,
        "prompt": _plain(comparison.prompt),
        "left": _plain(first),
        "right": _plain(second),
    }


def _plain(messages: Messages) -> list[dict[str, str]]:
    return [message.as_dict() for message in messages]


def _choice(sent: SentChoice | None, left: Side) -> Choice | None:
    """As the comparison names its completions."""
    match sent:
        case "left":
            return left
        case "right":
            return "b" if left == "a" else "a"
        case _:
            return sent
