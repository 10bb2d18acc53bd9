"""A PostgreSQL server of the tests' own: in a temporary folder, on a Unix socket, gone with the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

USER = "postgres"
_SECONDS_TO_START = 60


def postgres_programs() -> Path | None:
    """Where Debian puts them, or where `initdb` is found; None where there are none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if folders:
        return folders[-1]
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@dataclass
class RunningPostgres:
    """A server, and new databases on it."""

    programs: Path
    folder: Path
    settings: tuple[str, ...]
    numbers: Iterator[int] = field(default_factory=count)
    process: subprocess.Popen[bytes] | None = None

    def new_database(self, encoding: str = "UTF8") -> str:
        """The URL of an empty database."""
        name = f"votes_{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")
        return self.url(name)

    def url(self, database: str) -> str:
        """As a store takes it."""
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = USER) -> list[tuple[object, ...]]:
        """Run a statement; returns the rows of a query."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Returns when it takes connections. In the main thread: it dies with the thread that started it."""
        options = ["-D", str(self.folder / "data"), "-k", str(self.folder), "-c", "listen_addresses="]
        options += [part for setting in self.settings for part in ("-c", setting)]
        self.process = subprocess.Popen(
            [*_as_user(dies_with_us=True), str(self.programs / "postgres"), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + _SECONDS_TO_START
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
            time.sleep(0.02)

    def stop(self) -> None:
        """At once, as in a crash: what was not on its disk is gone, and every connection breaks."""
        if self.process is not None:
            # SIGKILL to the first process alone would leave the others.
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
            self.process = None


@contextmanager
def running_postgres(programs: Path, *settings: str) -> Iterator[RunningPostgres]:
    """A new server for as long as the block lasts.

    Tests stop processes and never the power, so that nothing need wait for a disk: `fsync=on` makes it wait.
    """
    # Not pytest's folder: that is its user's alone, and the server runs as another where that is root.
    folder = Path(tempfile.mkdtemp(prefix="palate-pg-"))
    server = RunningPostgres(programs, folder, ("fsync=off", *settings))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        command = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", USER]
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run([*_as_user(), *command, *options], check=True, capture_output=True)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _as_user(*, dies_with_us: bool = False) -> list[str]:
    """What stands before a command: the server refuses root, and is not to outlive tests that are killed."""
    options = []
    if os.geteuid() == 0:
        with suppress(KeyError):
            user = pwd.getpwnam(USER)
            options += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if dies_with_us:
        options += ["--pdeathsig=QUIT"]
    return ["setpriv", *options] if options and shutil.which("setpriv") else []
