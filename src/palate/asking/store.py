"""Where every response is kept as it came, before anyone uses it: one SQLite file, shared by processes."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from palate.asking.requests import AskedForm, Request
from palate.durable import ensure_folder
from palate.errors import ArtifactError
from palate.home import palate_home

__all__ = ["Attempt", "ResponseStore", "Stored", "default_store_path"]

_VERSION = 1
_APPLICATION = 0x50414C41  # "PALA", by which the file is known to be ours
_SECONDS_TO_WAIT_FOR_OTHERS = 60.0
_MAX_ATTEMPT_BODY_BYTES = 1_000_000

_TABLES = """
CREATE TABLE requests (
  key TEXT PRIMARY KEY,      -- sha256 of the server and the whole request, its sample among it
  server TEXT NOT NULL,
  sample INTEGER NOT NULL,
  request TEXT NOT NULL      -- JSON
) WITHOUT ROWID;
CREATE TABLE responses (
  key TEXT PRIMARY KEY REFERENCES requests (key),
  asked_form TEXT NOT NULL,  -- what the server was asked to hold to: text, schema, json_mode
  http_status INTEGER NOT NULL,
  body BLOB NOT NULL,        -- as it came
  attempts INTEGER NOT NULL,
  seconds REAL NOT NULL,
  at TEXT NOT NULL           -- UTC
);
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL REFERENCES requests (key),
  number INTEGER NOT NULL,   -- from 1
  http_status INTEGER,       -- NULL where no response came
  reason TEXT NOT NULL,
  body BLOB NOT NULL,        -- what came, up to a megabyte
  at TEXT NOT NULL
);
CREATE INDEX attempts_by_key ON attempts (key);
"""


def default_store_path() -> Path:
    """`responses.sqlite3` in Palate's home: what was paid for once serves every project on the machine."""
    return palate_home() / "responses.sqlite3"


@dataclass(frozen=True, slots=True)
class Stored:
    """A response as it came. `palate.asking.read_reply` says what it means."""

    key: str
    body: bytes
    asked_form: AskedForm = "text"
    http_status: int = 200
    attempts: int = 1
    seconds: float = 0.0
    at: str = ""
    """When it was stored, UTC."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that brought no usable response, and why."""

    number: int
    http_status: int | None
    reason: str
    body: bytes
    at: str


class ResponseStore:
    """Responses by request. What `put` returned from is on the disk, whatever happens next.

    Several threads and processes may use one file. Where two stored a response to the same request, the first
    stays, and both get that one. No key, header or other secret is ever given to it.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        """Open a store, or make one; `path` is `default_store_path()` unless given.

        Raises:
            ArtifactError: the file is damaged, is no store, is of a newer Palate, or cannot be opened.
        """
        self.path = default_store_path() if path is None else Path(path)
        self._lock = threading.RLock()
        ensure_folder(self.path.parent)
        with self._explained():
            # Used by one thread at a time: under the lock.
            self._database = sqlite3.connect(
                self.path,
                timeout=_SECONDS_TO_WAIT_FOR_OTHERS,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def get(self, server: str, request: Request) -> Stored | None:
        """What came in answer to this request from this server, or None.

        Raises:
            ArtifactError: the store cannot be read.
        """
        return self._get(request.key(server))

    def put(
        self,
        server: str,
        request: Request,
        body: bytes,
        *,
        asked_form: AskedForm = "text",
        http_status: int = 200,
        attempts: int = 1,
        seconds: float = 0.0,
    ) -> Stored:
        """Keep a response; on return it is on the disk. What is returned is what the store has.

        That is another body where another process was first; this one is then kept among the attempts,
        because it was paid for.

        Raises:
            ArtifactError: it cannot be written, as on a full disk. What was stored before is unharmed.
        """
        key = request.key(server)
        with self._writing():
            self._put_request(key, server, request)
            done = self._database.execute(
                "INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, asked_form, http_status, body, attempts, seconds, _now()),
            )
            if not done.rowcount:
                reason = "another process stored a response to the same request first"
                self._put_attempt(key, attempts, http_status, reason, body)
        stored = self._get(key)
        assert stored is not None
        return stored

    def fail(
        self,
        server: str,
        request: Request,
        reason: str,
        *,
        number: int = 1,
        http_status: int | None = None,
        body: bytes = b"",
    ) -> None:
        """Keep why an attempt brought nothing; the request will be asked again when it is wanted again.

        Raises:
            ArtifactError: it cannot be written.
        """
        key = request.key(server)
        with self._writing():
            self._put_request(key, server, request)
            self._put_attempt(key, number, http_status, reason, body)

    def attempts(self, server: str, request: Request) -> list[Attempt]:
        """Every attempt that brought nothing usable, in their order.

        Raises:
            ArtifactError: the store cannot be read.
        """
        query = "SELECT number, http_status, reason, body, at FROM attempts WHERE key = ? ORDER BY id"
        with self._lock, self._explained():
            return [Attempt(*row) for row in self._database.execute(query, (request.key(server),))]

    def __len__(self) -> int:
        """How many responses there are."""
        with self._lock, self._explained():
            return cast(int, self._database.execute("SELECT count(*) FROM responses").fetchone()[0])

    def close(self) -> None:
        """Let go of the file. Closing twice is fine."""
        with self._lock, self._explained():
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, key: str) -> Stored | None:
        query = (
            "SELECT key, body, asked_form, http_status, attempts, seconds, at FROM responses WHERE key = ?"
        )
        with self._lock, self._explained():
            row = self._database.execute(query, (key,)).fetchone()
        return None if row is None else Stored(*row)

    def _put_request(self, key: str, server: str, request: Request) -> None:
        # As ASCII: half an emoji in a prompt is no UTF-8, and SQLite would refuse it.
        text = json.dumps(request.content(), sort_keys=True)
        values = (key, server, request.sample, text)
        self._database.execute("INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?)", values)

    def _put_attempt(self, key: str, number: int, http_status: int | None, reason: str, body: bytes) -> None:
        self._database.execute(
            "INSERT INTO attempts (key, number, http_status, reason, body, at) VALUES (?, ?, ?, ?, ?, ?)",
            (key, number, http_status, _storable(reason), body[:_MAX_ATTEMPT_BODY_BYTES], _now()),
        )

    def _prepare(self) -> None:
        # Onto the disk with every commit: a response that a power cut takes would be paid for twice.
        self._write_ahead()
        self._database.execute("PRAGMA synchronous = FULL")
        problem = self._database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise self._damaged(str(problem))
        with self._writing():
            application, version, num_tables = (
                self._database.execute(query).fetchone()[0]
                for query in (
                    "PRAGMA application_id",
                    "PRAGMA user_version",
                    "SELECT count(*) FROM sqlite_master",
                )
            )
            if not num_tables and not application:
                for statement in _TABLES.split(";\n"):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA application_id = {_APPLICATION}")
                self._database.execute(f"PRAGMA user_version = {_VERSION}")
                return
        if application != _APPLICATION:
            raise ArtifactError(
                "this is a database, but no store of responses",
                where=str(self.path),
                next="name another file; nothing was changed in this one",
            )
        if version != _VERSION:
            raise ArtifactError(
                f"the store has version {version}, and this Palate reads version {_VERSION}",
                where=str(self.path),
                why="another Palate made it",
                next="use that Palate, or name another file; nothing was changed in this one",
            )

    def _write_ahead(self) -> None:
        # SQLite does not wait for others with this one statement, whatever its time-out.
        until = time.monotonic() + _SECONDS_TO_WAIT_FOR_OTHERS
        while True:
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
            time.sleep(0.01)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, self._explained():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk may have ended the transaction already
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a slip of whoever calls, such as using a closed store
        except sqlite3.OperationalError as error:
            raise ArtifactError(
                f"the store cannot be used: {error}",
                where=str(self.path),
                why="what it holds is unharmed",
                next=_remedy(str(error)),
            ) from None
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from None

    def _damaged(self, problem: str) -> ArtifactError:
        return ArtifactError(
            f"the store of responses is damaged: {problem}",
            where=str(self.path),
            why="its disk or something that wrote into it failed; nothing was changed or removed",
            next="keep the file with those of its name that end in -wal and -shm, and name another for new "
            f"responses; what can be read comes back with: sqlite3 {self.path.name} .recover",
        )


def _remedy(problem: str) -> str:
    if "locked" in problem:
        return "another process holds it: wait for that to end, and run the same again"
    if "full" in problem or "I/O" in problem:
        return "free some space there, and run the same again"
    return "make the file and its folder writable, or name another file, and run the same again"


def _storable(text: str) -> str:
    """Text that UTF-8 has no word for, escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
