"""Where votes are kept: a store that has on its disk whatever it acknowledged, in SQLite or PostgreSQL."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Row, func, insert, select, update

from palate.annotate.admission import Known, admit, storable
from palate.annotate.database import Database
from palate.annotate.events import Event, Item, Task
from palate.annotate.group_commit import GroupCommit
from palate.annotate.opening import open_store
from palate.annotate.schema import EVENTS, ITEMS, SETTINGS
from palate.annotate.store_errors import EventRefused
from palate.annotate.stored_items import comparison_in, comparison_text
from palate.records import Comparison

__all__ = ["VoteStore"]

_MAX_LOOKED_UP_AT_ONCE = 500


class VoteStore:
    """Items that people vote on, and everything they did, in order. Nothing in it is changed or removed.

    Several threads may use one, and several processes, on several machines with PostgreSQL, the same store.
    """

    def __init__(self, url: str | Path, *, must_exist: bool = False) -> None:
        """Open a store; a new one is made where there is none, unless it `must_exist`.

        `url` is a file's path, `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.

        Raises:
            StoreRefused: there is no such place, it holds no store of votes, or one of another version.
            StoreUnavailable: it cannot be reached, read or written. StoreDamaged: it is broken.
        """
        self._database = Database(str(url))
        try:
            open_store(self._database, must_exist=must_exist)
            self._database.is_made()
        except BaseException:
            self._database.close()
            raise
        # Waiting for one another here is fairer than in the database.
        self._writing = threading.Lock()
        self._item_ids: set[str] = set()
        self._group = GroupCommit(self._store_together)

    @property
    def name(self) -> str:
        """The file, or the URL without its password: what may be shown."""
        return self._database.name

    def append(self, event: Event) -> Event:
        """Store an event; on return it is on the disk, and what is returned has its number.

        The same event again (the same annotator, key and content) is stored once: the first is returned.
        Whatever `number` and `created_at` it comes with are ignored; in a note, what is no text is escaped.

        Raises:
            MalformedEvent, KeyReused, UnknownItem, NothingToUndo: the event is refused, and would be again.
            StoreUnavailable: it is not acknowledged; send the same event again.
        """
        return self._group.append(storable(event))

    def append_all(self, events: Iterable[Event]) -> list[Event]:
        """Store several events in one transaction: all of them or, where one is refused, none.

        Raises:
            MalformedEvent, KeyReused, UnknownItem, NothingToUndo: the first that is refused.
            StoreUnavailable: none is acknowledged; send the same events again.
        """
        wanted = [storable(event) for event in events]

        def store() -> list[Event]:
            with self._database.writing() as connection:
                return [_taken(outcome) for outcome in self._store(connection, wanted)]

        with self._writing:
            return self._database.again_if_lost(store)

    def events(self, after: int = 0) -> list[Event]:
        """Every event with a higher number, in order. None ever appears below one that was seen.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        query = select(EVENTS).where(EVENTS.c.number > after).order_by(EVENTS.c.number)
        return [_event(row) for row in self._read(query)]

    def add_items(self, items: Iterable[tuple[Comparison, Task]]) -> int:
        """Store comparisons to vote on; returns how many are new.

        A comparison that is there already stays as it is, with its task and with its `a` and `b`: those may
        stand the other way round in the one that came now.

        Raises:
            TypeError: a provenance holds what JSON cannot. StoreUnavailable: none is stored.
        """
        rows: dict[str, dict[str, Any]] = {}
        for comparison, task in items:
            row = {"id": comparison.id, "task": task, "comparison": comparison_text(comparison)}
            rows.setdefault(comparison.id, row)

        def store() -> int:
            with self._database.writing() as connection:
                there = set(connection.scalars(select(ITEMS.c.id)))
                number = connection.scalar(select(func.coalesce(func.max(ITEMS.c.number), 0))) or 0
                new = [row for item, row in rows.items() if item not in there]
                if new:
                    numbered = [{"number": number + place, **row} for place, row in enumerate(new, start=1)]
                    connection.execute(insert(ITEMS), numbered)
            return len(new)

        with self._writing:
            return self._database.again_if_lost(store)

    def items(self, after: int = 0) -> list[Item]:
        """Every item with a higher number, in order.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        query = select(ITEMS).where(ITEMS.c.number > after).order_by(ITEMS.c.number)
        return [Item(comparison_in(row.comparison), row.task, row.number) for row in self._read(query)]

    def setting(self, name: str, default: Any = None) -> Any:
        """What was set under a name, or the default.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        rows = self._read(select(SETTINGS.c.value).where(SETTINGS.c.name == name))
        return json.loads(rows[0].value) if rows else default

    def set_setting(self, name: str, value: Any) -> None:
        """Set something that JSON can say; the last one to do so is right.

        Raises:
            TypeError: JSON cannot say it. StoreUnavailable: it is not set.
        """
        text = json.dumps(value, sort_keys=True)

        def store() -> None:
            with self._database.writing() as connection:
                done = connection.execute(update(SETTINGS).where(SETTINGS.c.name == name).values(value=text))
                if not done.rowcount:
                    connection.execute(insert(SETTINGS).values(name=name, value=text))

        with self._writing:
            self._database.again_if_lost(store)

    def settled(self, name: str, value: Any) -> Any:
        """What is set under a name; where nothing is, the value is set, and whoever asks later is told that.

        Raises:
            TypeError: JSON cannot say it. StoreUnavailable: the store cannot be read or written.
        """
        text = json.dumps(value, sort_keys=True)
        query = select(SETTINGS.c.value).where(SETTINGS.c.name == name)

        def store() -> str:
            with self._database.writing() as connection:
                there = connection.scalar(query)
                if there is None:
                    connection.execute(insert(SETTINGS).values(name=name, value=text))
                return text if there is None else there

        with self._writing:
            return json.loads(self._database.again_if_lost(store))

    def close(self) -> None:
        """Let go of the database. Closing twice is fine; no other thread may be using it."""
        self._group.close()
        self._database.close()

    def __repr__(self) -> str:
        return f"VoteStore({self.name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, query: Any) -> Sequence[Row[Any]]:
        def read() -> Sequence[Row[Any]]:
            with self._database.reading() as connection:
                return connection.execute(query).all()

        return self._database.again_if_lost(read)

    def _store_together(self, events: Sequence[Event]) -> list[Event | EventRefused]:
        def store() -> list[Event | EventRefused]:
            with self._database.writing() as connection:
                return self._store(connection, events)

        with self._writing:
            return self._database.again_if_lost(store)

    def _store(self, connection: Connection, events: Sequence[Event]) -> list[Event | EventRefused]:
        known = self._known(connection, events)
        first = known.next_number
        outcomes = admit(events, known, datetime.now(UTC).isoformat(timespec="milliseconds"))
        new = {
            taken.number: taken for taken in outcomes if isinstance(taken, Event) and taken.number >= first
        }
        if new:
            connection.execute(insert(EVENTS), [asdict(event) for event in new.values()])
        return outcomes

    def _known(self, connection: Connection, events: Sequence[Event]) -> Known:
        keys = {event.key for event in events} | {event.undoes for event in events if event.undoes}
        undone = {event.undoes for event in events if event.undoes}
        unseen = {event.item for event in events} - self._item_ids
        stored = _matching(connection, EVENTS.c.key, keys)
        undoing = _matching(connection, EVENTS.c.undoes, undone)
        self._item_ids.update(row.id for row in _matching(connection, ITEMS.c.id, unseen))
        return Known(
            events={(row.annotator, row.key): _event(row) for row in stored},
            undone={(row.annotator, row.undoes) for row in undoing},
            has_item=self._item_ids.__contains__,
            next_number=1 + (connection.scalar(select(func.max(EVENTS.c.number))) or 0),
        )


def _matching(connection: Connection, column: Any, values: Iterable[str]) -> list[Row[Any]]:
    wanted = sorted(values)
    rows: list[Row[Any]] = []
    for start in range(0, len(wanted), _MAX_LOOKED_UP_AT_ONCE):
        some = wanted[start : start + _MAX_LOOKED_UP_AT_ONCE]
        rows += connection.execute(select(column.table).where(column.in_(some)))
    return rows


def _taken(outcome: Event | EventRefused) -> Event:
    if isinstance(outcome, EventRefused):
        raise outcome
    return outcome


def _event(row: Row[Any]) -> Event:
    return Event(**row._mapping)
