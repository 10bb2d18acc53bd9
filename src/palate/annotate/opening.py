"""Seeing that a database is a store of votes of this version, or making one of an empty place."""

from __future__ import annotations

import time

from sqlalchemy import Connection, func, insert, inspect, select

from palate.annotate.database import Database
from palate.annotate.schema import STORE, TABLES, VERSION
from palate.annotate.store_errors import StoreDamaged, StoreRefused, StoreUnavailable

__all__ = ["open_store"]

_SECONDS_TO_WAIT_FOR_OTHERS = 30.0


def open_store(database: Database, *, must_exist: bool) -> None:
    """Make it ready for use. What is no store of ours stays as it is.

    Raises:
        StoreRefused: it is something else, of another version, or not there and `must_exist`.
        StoreUnavailable: it cannot be reached, read or made. StoreDamaged: it is no database, or broken.
    """
    if must_exist and database.path is not None and not database.path.exists():
        raise _absent(database)
    with database.reading() as connection:
        exists = _exists(connection, database)
    if not exists:
        if must_exist:
            raise _absent(database)
        _make(database)
    with database.reading() as connection:
        _check(connection, database)
    if database.is_sqlite:
        _write_ahead(database)


def _exists(connection: Connection, database: Database) -> bool:
    names = set(inspect(connection).get_table_names())
    if STORE.name in names:
        return True
    # A PostgreSQL database may be shared with other things; a SQLite file is one thing.
    if database.is_sqlite and names:
        raise StoreRefused(
            "this is a database, but no store of votes",
            where=database.name,
            next="name another file; nothing was changed in this one",
        )
    return False


def _make(database: Database) -> None:
    if database.is_sqlite:
        _write_ahead(database)
    with database.writing() as connection:
        if not _exists(connection, database):  # another process may have been first
            TABLES.create_all(connection)
            connection.execute(insert(STORE).values(version=VERSION))


def _check(connection: Connection, database: Database) -> None:
    versions = list(connection.scalars(select(STORE.c.version)))
    if versions != [VERSION]:
        raise StoreRefused(
            f"the store has version {', '.join(map(str, versions))}, and this Palate reads version {VERSION}",
            where=database.name,
            why="another Palate made it",
            next="use that Palate, or name another store; nothing was changed in this one",
        )
    if database.is_sqlite:
        problem = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if problem != "ok":
            raise StoreDamaged(
                f"the store of votes is damaged: {problem}",
                where=database.name,
                next="keep the file; what can be read comes back with sqlite3's .recover",
            )
        return
    encoding = connection.scalar(select(func.current_setting("server_encoding")))
    if encoding not in ("UTF8", "SQL_ASCII"):
        raise StoreRefused(
            f"the database keeps its text as {encoding}, which has no words for many languages",
            where=database.name,
            next="make a database with ENCODING 'UTF8', and name that",
        )


def _write_ahead(database: Database) -> None:
    # SQLite does not wait for others with this one statement, whatever its time-out.
    until = time.monotonic() + _SECONDS_TO_WAIT_FOR_OTHERS
    while True:
        try:
            database.use_write_ahead_log()
            return
        except StoreUnavailable as error:
            if "locked" not in error.what or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _absent(database: Database) -> StoreRefused:
    return StoreRefused(
        "there is no store of votes here", where=database.name, next="palate annotate SOURCE makes one"
    )
