"""The database behind a store of votes: SQLite or PostgreSQL, opened so that a commit is on the disk."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError

from palate.annotate.store_errors import ConnectionLost, StoreDamaged, StoreRefused, StoreUnavailable
from palate.errors import PalateError

__all__ = ["Database"]

_SECONDS_TO_WAIT_FOR_OTHERS = 30
_SECONDS_TO_WAIT_FOR_THE_SERVER = 20.0
"""After it hung up on a store that was open: restarting one takes some seconds."""
_SECONDS_BETWEEN_TRIES = 0.1
_LOCK = 0x50414C41
"""Names the advisory lock of whoever writes. Other stores in the same database only wait a little longer."""

Result = TypeVar("Result")


class Database:
    """Connections, transactions of writers one after the other, and errors in plain words.

    `name` is what messages call it: the URL without its password.
    """

    def __init__(self, url: str) -> None:
        """Nothing is opened yet.

        Raises:
            StoreRefused: the URL names no database that votes can be kept in.
        """
        self._url = _parsed(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self.name = _without_password(self._url)
        self._engine = self._sqlite_engine() if self.is_sqlite else _postgresql_engine(self._url)
        self._is_open = True
        self._may_make_file = True

    @property
    def path(self) -> Path | None:
        """SQLite's file."""
        return Path(str(self._url.database)) if self.is_sqlite else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees what was committed when it first looks."""
        with self._explained(), self._connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer's, of any process, overlaps; on leaving it is on the disk.

        PostgreSQL lets go of the lock only when others can see what was committed, so whoever reads the
        highest number under the lock, and adds one, never leaves a gap that is filled later.
        """
        with self._explained(), self._connect() as connection:
            connection = connection.execution_options(palate_writes=True)
            with connection.begin():
                if not self.is_sqlite:
                    # On its own: the next statement sees what was committed while this one waited.
                    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                yield connection

    def again_if_lost(self, work: Callable[[], Result]) -> Result:
        """Do it, and again where the connection broke: for what may be done twice.

        Raises:
            ConnectionLost: the server stayed away. PalateError: what the work raises.
        """
        until = time.monotonic() + _SECONDS_TO_WAIT_FOR_THE_SERVER
        while True:
            try:
                return work()
            except ConnectionLost:
                if time.monotonic() > until:
                    raise
            time.sleep(_SECONDS_BETWEEN_TRIES)

    def use_write_ahead_log(self) -> None:
        """SQLite's, by which those who read and the one who writes do not wait for each other.

        Raises:
            StoreUnavailable: another process holds the file, or it cannot be written.
        """
        with self._explained(), self._connect() as connection:
            # Outside of any transaction, so not through `writing`.
            connection.connection.cursor().execute("PRAGMA journal_mode = WAL").close()

    def is_made(self) -> None:
        """From now on no connection makes the file: it is there, or somebody moved it.

        A new, empty file in the place of one that was moved would take the log of votes that lies beside it
        for its own, and throw it away.
        """
        self._may_make_file = False

    def _sqlite_engine(self) -> Engine:
        def connected() -> sqlite3.Connection:
            mode = "rwc" if self._may_make_file else "rw"
            return sqlite3.connect(
                f"{Path(str(self._url.database)).absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=_SECONDS_TO_WAIT_FOR_OTHERS,
                check_same_thread=False,
            )

        return _sqlite_engine(self._url, connected)

    def close(self) -> None:
        """Let go of every connection. Closing twice is fine."""
        self._is_open = False
        self._engine.dispose()

    def _connect(self) -> Connection:
        if not self._is_open:
            raise ValueError(f"the store {self.name} is closed")
        return self._engine.connect()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (DataError, IntegrityError):
            raise  # a value that a database has no place for: a slip of this room, and no state of the store
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise self._in_words(error) from None

    def _in_words(self, error: Exception) -> PalateError:
        origin = error.orig if isinstance(error, DBAPIError) else error
        problem = self._without_secret(" ".join(str(origin).split()))
        if isinstance(origin, sqlite3.DatabaseError) and not isinstance(origin, sqlite3.OperationalError):
            return StoreDamaged(
                f"the store of votes cannot be read: {problem}",
                where=self.name,
                why="it is no database, or its disk failed; nothing was changed",
                next="keep the file with those of its name that end in -wal and -shm; what can be read comes "
                "back with sqlite3's .recover",
            )
        if _is_lost(error):
            return ConnectionLost(
                f"the server of the store of votes cannot be reached: {problem}",
                where=self.name,
                why="it is gone, or does not answer; what was acknowledged is on its disk",
                next="see that it runs and takes this user and password, and do the same again",
            )
        return StoreUnavailable(
            f"the store of votes cannot be used: {problem}",
            where=self.name,
            why="what it holds is unharmed, and what was not acknowledged is not in it",
            next=_remedy(problem),
        )

    def _without_secret(self, text: str) -> str:
        password = self._url.password
        return text.replace(str(password), "***") if password else text


def _parsed(text: str) -> URL:
    address = text.partition("://")[2]
    # A bare "@" in a password ends it too early, and the rest of it would be shown as a host's name.
    if address.count("@") > 1 or re.match(r"postgres\w*:?/[^/].*@|postgres\w*//.*@", text, re.IGNORECASE):
        raise _unreadable()
    if "://" not in text:
        return _checked_file(URL.create("sqlite", database=text))
    try:
        # Its own messages may quote the password.
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise _unreadable() from None
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite":
        return _checked_file(url)
    raise StoreRefused(
        f"votes are not kept in {url.drivername}",
        where=_without_password(url),
        next="name a file for SQLite, or a postgresql:// URL",
    )


def _unreadable() -> StoreRefused:
    return StoreRefused(
        "the URL of the store cannot be read",
        next="write a file's path, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE; characters such as "
        "@ : / in a password are written %40 %3A %2F",
    )


def _checked_file(url: URL) -> URL:
    where = url.database or ""
    if where in ("", ":memory:") or where.startswith("file:"):
        raise StoreRefused("a store of votes is a file", where=where or str(url), next="name one")
    if url.query or url.host:
        raise StoreRefused(
            "the URL of a SQLite store is a path and nothing else",
            where=str(url),
            next="sqlite:///votes.sqlite3 is in this folder, sqlite:////data/votes.sqlite3 is not",
        )
    if Path(where).is_dir():
        raise StoreRefused("this is a folder, a store of votes is a file", where=where)
    if not Path(where).parent.is_dir():
        raise StoreRefused("the folder of the store does not exist", where=where, next="make it first")
    return url


def _without_password(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    shown = url.difference_update_query([name for name in url.query if "password" in name])
    return shown.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _sqlite_engine(url: URL, connected: Callable[[], sqlite3.Connection]) -> Engine:
    engine = create_engine(url, creator=connected, pool_size=8, max_overflow=56)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        # Transactions begin where `writing` and `reading` say so, and not where the module guesses.
        connection.isolation_level = None
        # Onto the disk with every commit: an acknowledged vote outlives a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes then fails at once where another wrote in between.
        writes = connection.get_execution_options().get("palate_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        connect_args={"client_encoding": "utf8", "connect_timeout": 10},
        # Under any other, the highest number would be read as of before the wait for the lock.
        isolation_level="READ COMMITTED",
        pool_size=8,
        max_overflow=56,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        milliseconds = _SECONDS_TO_WAIT_FOR_OTHERS * 1000
        with connection.cursor() as cursor:
            # Stronger settings, such as waiting for a standby, are left alone.
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
            cursor.execute(f"SET lock_timeout = {milliseconds}")
            # A writer whose machine vanished would hold everyone else up.
            cursor.execute(f"SET idle_in_transaction_session_timeout = {milliseconds}")
        connection.commit()

    return engine


def _is_lost(error: Exception) -> bool:
    """The server hung up, is starting or stopping, or cannot be reached."""
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.Error):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return error.connection_invalidated or type(error.orig).__name__ == "OperationalError"
    return state.startswith("08") or state in ("57P01", "57P02", "57P03", "25P03")


def _remedy(problem: str) -> str:
    if "unable to open" in problem:
        return "see that the file is still there and writable for this user, and do the same again"
    if "locked" in problem or "lock timeout" in problem:
        return "another process holds it: wait for that to end, and do the same again"
    if "full" in problem or "I/O" in problem or "No space" in problem:
        return "free some space there, and do the same again"
    return "make the store writable for this user, or name another one, and do the same again"
