"""Which places a store of votes can be in, and what is said of those where it cannot."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from stored_votes import undo, vote, with_items

from palate.annotate.events import Event
from palate.annotate.store import VoteStore
from palate.annotate.store_errors import ConnectionLost, StoreDamaged, StoreRefused, StoreUnavailable
from palate.errors import CallError, PalateError
from running_postgres import RunningPostgres


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_a_path_and_a_url_name_the_same_file(tmp_path: Path, form: str) -> None:
    path = tmp_path / "votes #1 ?.sqlite3"
    with VoteStore(path) as store:
        with_items(store)
    with VoteStore(form.format(path).replace("?", "%3F") if ":" in form else str(path)) as store:
        assert len(store.items()) == 3
        assert store.name == str(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    VoteStore("sqlite:///votes.db").close()
    assert VoteStore("votes.db", must_exist=True).close() is None
    assert (tmp_path / "votes.db").exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "is a file"),
        (":memory:", "is a file"),
        ("sqlite://", "is a file"),
        ("sqlite:///:memory:", "is a file"),
        ("sqlite:///votes.db?mode=ro", "a path and nothing else"),
        ("sqlite://host/votes.db", "a path and nothing else"),
        ("sqlite+aiosqlite:///votes.db", r"not kept in sqlite\+aiosqlite"),
        ("mysql://me:hush-hush@host/votes", "not kept in mysql"),
        ("postgresql+psycopg2://me:hush-hush@host/votes", "not kept in postgresql"),
        ("postgresql://me:hush-hush@host:port/votes", "cannot be read"),
        ("postgresql://me:hush@hush-hush:5432:5433/votes", "cannot be read"),
        ("postgresql://me:pass@hush-hush/word@host:5432/votes", "cannot be read"),
        ("postgresql://me:pass@hush-hush@host/votes", "cannot be read"),
        ("postgresql:/me:hush-hush@host/votes", "cannot be read"),
        ("Postgres//me:hush-hush@host/votes", "cannot be read"),
        ("://votes", "cannot be read"),
        ("no/such/folder/votes.db", "folder of the store does not exist"),
        (".", "this is a folder"),
    ],
)
def test_what_names_no_store(url: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreRefused, match=told) as refused:
        VoteStore(url)
    assert isinstance(refused.value, CallError)
    assert "hush-hush" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_must_exist(store_url: str) -> None:
    with pytest.raises(StoreRefused, match="there is no store of votes here"):
        VoteStore(store_url, must_exist=True)
    assert "://" in store_url or not Path(store_url).exists()
    VoteStore(store_url).close()
    VoteStore(store_url, must_exist=True).close()


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "votes.db"
    path.touch()
    with VoteStore(path) as store:
        assert store.items() == []


def test_another_database_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE accounts (name TEXT)")
    database.commit()
    database.close()
    before = path.read_bytes()
    with pytest.raises(StoreRefused, match="no store of votes"):
        VoteStore(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["other.db"]


def test_a_postgresql_database_may_hold_other_things(postgres: RunningPostgres) -> None:
    url = postgres.new_database()
    name = url.split("/")[3].split("?")[0]
    postgres.execute("CREATE TABLE events (name TEXT)", name)
    with VoteStore(url) as store:
        assert len(with_items(store)) == 3
    assert postgres.execute("SELECT * FROM events", name) == []


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"chosen": "a"}\n' * 100)
    with pytest.raises(StoreDamaged, match="not a database"):
        VoteStore(path)
    assert path.read_text() == '{"chosen": "a"}\n' * 100


def test_a_store_of_a_newer_palate(store_url: str, request: pytest.FixtureRequest) -> None:
    VoteStore(store_url).close()
    statement = "UPDATE palate_store SET version = 2"
    if "://" in store_url:
        server: RunningPostgres = request.getfixturevalue("postgres")
        server.execute(statement, store_url.split("/")[3].split("?")[0])
    else:
        database = sqlite3.connect(store_url)
        database.execute(statement)
        database.commit()
        database.close()
    with pytest.raises(StoreRefused, match="has version 2, and this Palate reads version 1") as refused:
        VoteStore(store_url)
    assert "use that Palate" in refused.value.next


def test_many_open_a_new_store_at_once(store_url: str) -> None:
    errors: list[BaseException] = []
    start = threading.Barrier(6)

    def open_it() -> None:
        start.wait()
        try:
            with VoteStore(store_url) as store:
                with_items(store)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with VoteStore(store_url) as store:
        assert [item.number for item in store.items()] == [1, 2, 3]


def test_text_that_the_database_has_no_words_for(postgres: RunningPostgres) -> None:
    with pytest.raises(StoreRefused, match="keeps its text as LATIN1"):
        VoteStore(postgres.new_database("LATIN1"))
    with VoteStore(postgres.new_database("SQL_ASCII")) as store:
        items = with_items(store)
        store.append(vote("k", items[0], "注释者"))
        assert store.events()[0].annotator == "注释者"


def test_no_message_says_the_password() -> None:
    url = "postgresql://me:hush%40hush@127.0.0.1:1/votes?password=hush%40hush"
    with pytest.raises(ConnectionLost, match="cannot be reached") as lost:
        VoteStore(url)
    assert lost.value.where == "postgresql://me:***@127.0.0.1:1/votes"
    assert not {"hush@hush", "hush%40hush"} & set(str(lost.value).split())
    assert "hush" not in str(lost.value)
    assert lost.value.__suppress_context__


def test_a_server_that_restarts_takes_the_vote(postgres: RunningPostgres) -> None:
    """Whoever votes or reads meanwhile waits, and is told nothing of it."""
    with VoteStore(postgres.new_database()) as store, ThreadPoolExecutor() as pool:
        items = with_items(store)
        first = store.append(vote("k1", items[0]))
        postgres.stop()
        second = pool.submit(store.append, vote("k2", items[0]))
        read = pool.submit(store.items)
        postgres.start()
        assert [first, second.result()] == store.events()
        assert [item.id for item in read.result()] == items


def test_a_connection_cut_after_the_commit_stores_once(
    postgres: RunningPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer got lost, so the store sends the same again."""
    with VoteStore(postgres.new_database()) as store:
        items = with_items(store)
        cast = store.append(vote("k1", items[0]))
        real = store._database.writing
        num_cut = 0

        def cut() -> Iterator[object]:
            nonlocal num_cut
            with real() as connection:
                yield connection
            num_cut += 1
            if num_cut == 1:
                raise ConnectionLost("gone")

        monkeypatch.setattr(store._database, "writing", contextmanager(cut))
        assert store.append(undo("u", cast)).number == 2
        assert num_cut == 2
        assert [event.key for event in store.events()] == ["k1", "u"]


def test_a_server_that_stays_away_acknowledges_nothing(
    postgres: RunningPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palate.annotate.database._SECONDS_TO_WAIT_FOR_THE_SERVER", 0.2)
    with VoteStore(postgres.new_database()) as store:
        items = with_items(store)
        postgres.stop()
        try:
            with pytest.raises(ConnectionLost, match="cannot be reached"):
                store.append(vote("k1", items[0]))
        finally:
            postgres.start()
        stored = store.append(vote("k1", items[0]))
        assert store.events() == [stored]


def test_a_file_that_another_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.annotate.database._SECONDS_TO_WAIT_FOR_OTHERS", 0.05)
    path = tmp_path / "votes.db"
    with VoteStore(path) as store:
        items = with_items(store)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked") as locked:
            store.append(vote("k", items[0]))
        assert "another process holds it" in locked.value.next
        assert store.events() == []
        other.execute("ROLLBACK")
        other.close()
        store.append(vote("k", items[0]))
        assert len(store.events()) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a quarter of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode != 0:
        pytest.skip(f"only root may mount a small disk: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_acknowledges_nothing_and_harms_nothing(small_disk: Path) -> None:
    """Only what was acknowledged is there; with room again it goes on."""
    path = small_disk / "votes.db"
    with VoteStore(path) as store:
        items = with_items(store)
        filler = small_disk / "filler"
        free = os.statvfs(small_disk)
        filler.write_bytes(bytes(free.f_bavail * free.f_frsize - 40_000))
        acknowledged: list[Event] = []
        with pytest.raises(StoreUnavailable) as full:
            while len(acknowledged) < 1000:
                acknowledged += [store.append(vote(f"k{len(acknowledged)}", items[0], note="x" * 500))]
        assert "free some space" in full.value.next
        assert store.events() == acknowledged
        assert 0 < len(acknowledged) < 1000
        filler.unlink()
        acknowledged.append(store.append(vote(f"k{len(acknowledged)}", items[0], note="x" * 500)))
    with VoteStore(path) as store:
        assert store.events() == acknowledged


def test_a_disk_that_became_read_only(small_disk: Path) -> None:
    path = small_disk / "votes.db"
    with VoteStore(path) as store:
        items = with_items(store)
        stored = store.append(vote("k", items[0]))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(PalateError) as read_only:
        VoteStore(path)
    assert "writable" in read_only.value.next
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    with VoteStore(path) as store:
        assert store.events() == [stored]


def test_a_page_of_the_file_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "votes.db"
    with VoteStore(path) as store:
        with_items(store, 300)
    content = bytearray(path.read_bytes())
    content[8192:16384] = b"\xff" * 8192
    path.write_bytes(content)
    with pytest.raises(StoreDamaged) as damaged:
        VoteStore(path)
    assert "keep the file" in damaged.value.next
    assert path.read_bytes() == content


def test_a_file_that_was_moved_and_comes_back_has_lost_nothing(tmp_path: Path) -> None:
    """An empty file in its place would have thrown away the log beside it, with what was acknowledged."""
    here, away = tmp_path / "votes.db", tmp_path / "away.db"
    with VoteStore(here) as store:
        item = with_items(store)[0]
        store.append(vote("k1", item))
        here.rename(away)
        # More than there are open: one of them is new, and finds no file.
        with ExitStack() as connections, pytest.raises(StoreUnavailable, match="unable to open"):
            for _ in range(9):
                connections.enter_context(store._database.reading())
        assert not here.exists()
        away.rename(here)
        store.append(vote("k2", item, "ben"))
    with VoteStore(here, must_exist=True) as store:
        assert [event.key for event in store.events()] == ["k1", "k2"]
