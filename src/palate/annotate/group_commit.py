"""Many threads hand in events, one writes what has gathered: a disk is waited for once, not once for each."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from palate.annotate.events import Event
from palate.annotate.store_errors import EventRefused, StoreUnavailable

__all__ = ["GroupCommit"]

_MAX_EVENTS_AT_ONCE = 500

Outcome = Event | EventRefused


@dataclass(slots=True)
class _Waiting:
    """An event on its way to the disk."""

    event: Event
    done: Future[Event] = field(default_factory=Future)


class GroupCommit:
    """One thread that stores what others append. None of them returns before its event is on the disk."""

    def __init__(self, store: Callable[[Sequence[Event]], Sequence[Outcome]]) -> None:
        """`store` takes several events in one transaction, and says of each what became of it."""
        self._store = store
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._lock = threading.Lock()  # nothing is put into the queue after the end
        self._is_open = True
        self._thread = threading.Thread(target=self._write, name="palate votes", daemon=True)
        self._thread.start()

    def append(self, event: Event) -> Event:
        """Wait until the event is stored, and return it as it is stored.

        Raises:
            EventRefused, StoreUnavailable: as `store` says. ValueError: it is closed.
        """
        waiting = _Waiting(event)
        with self._lock:
            if not self._is_open:
                raise ValueError("the store is closed")
            self._queue.put(waiting)
        return waiting.done.result()

    def close(self) -> None:
        """Store what was handed in, and end. Closing twice is fine."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                self._queue.put(None)
        self._thread.join()

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            ends = False
            while len(batch) < _MAX_EVENTS_AT_ONCE and not ends:
                try:
                    waiting = self._queue.get_nowait()
                except Empty:
                    break
                if waiting is None:
                    ends = True
                else:
                    batch.append(waiting)
            self._commit(batch)
            if ends:
                return

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            outcomes = self._store([waiting.event for waiting in batch])
        except Exception as error:  # whatever it is, it is raised where the event came from
            if len(batch) > 1 and not isinstance(error, StoreUnavailable):
                # One of them is bad in a way that nobody thought of: the others are not to suffer for it.
                for waiting in batch:
                    self._commit([waiting])
                return
            for waiting in batch:
                waiting.done.set_exception(copy.copy(error))
            return
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, EventRefused):
                waiting.done.set_exception(outcome)
            else:
                waiting.done.set_result(outcome)
