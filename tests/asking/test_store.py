"""The store of responses: what it was given is there, and damage is told apart from everything else."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from asking_scene import question
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.asking import Request, ResponseStore, Stored, default_store_path
from palate.errors import ArtifactError
from palate.records import Message


def test_what_is_put_is_there_for_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "s.sqlite3"
    asked = question("hello")
    with ResponseStore(path) as store:
        assert store.get("there", asked) is None
        put = store.put("there", asked, b"{raw}", asked_form="json_mode", attempts=3, seconds=1.5)
        assert (put.body, put.asked_form, put.http_status, put.attempts, put.seconds) == (
            b"{raw}", "json_mode", 200, 3, 1.5,
        )  # fmt: skip
    with ResponseStore(path) as store:
        assert store.get("there", asked) == put
        assert len(store) == 1


def test_server_sample_and_every_field_make_another_request(store: ResponseStore) -> None:
    asked = question("hello")
    store.put("there", asked, b"raw")
    others = [
        question("hello", sample=1), question("hello", temperature=0.5), question("hello", top_p=0.5),
        question("hello", max_tokens=5), question("hello", stop=("x",)), question("hello", seed=1),
        question("hello", schema={}), question("hello", extra={"a": 1}), question("hello", model="other"),
        question("hello "), Request("m", (Message("system", "hello"),)),
    ]  # fmt: skip
    assert [store.get("there", other) for other in others] == [None] * len(others)
    assert store.get("elsewhere", asked) is None
    assert isinstance(store.get("there", question("hello")), Stored)


def test_the_first_of_two_responses_stays_and_the_other_is_kept_aside(tmp_path: Path) -> None:
    one, two = ResponseStore(tmp_path / "s"), ResponseStore(tmp_path / "s")
    asked = question("hello")
    assert one.put("there", asked, b"first").body == b"first"
    assert two.put("there", asked, b"second").body == b"first"
    [attempt] = one.attempts("there", asked)
    assert attempt.body == b"second"
    assert "another process" in attempt.reason
    one.close()
    two.close()


def test_failed_attempts_are_explained_and_answer_nothing(store: ResponseStore) -> None:
    asked = question("hello")
    store.fail("there", asked, "HTTP 500", number=1, http_status=500, body=b"oops")
    store.fail("there", asked, "reset \ud83d", number=2)
    first, second = store.attempts("there", asked)
    assert (first.number, first.http_status, first.reason, first.body) == (1, 500, "HTTP 500", b"oops")
    assert (second.number, second.http_status, second.reason) == (2, None, "reset \\ud83d")
    assert store.get("there", asked) is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=[])), st.integers(0, 3), st.binary(max_size=50)),
        max_size=8,
    )
)
def test_any_text_and_bytes_come_back_and_the_first_wins(
    tmp_path_factory: pytest.TempPathFactory, puts: list[tuple[str, int, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("store") / "s"
    expected: dict[tuple[str, int], bytes] = {}
    with ResponseStore(path) as store:
        for text, sample, body in puts:
            store.put("there", question(text, sample=sample), body)
            expected.setdefault((text, sample), body)
    with ResponseStore(path) as store:
        for (text, sample), body in expected.items():
            stored = store.get("there", question(text, sample=sample))
            assert stored is not None
            assert stored.body == body
        assert len(store) == len(expected)


def test_its_place_is_palates_home(home: Path) -> None:
    assert default_store_path() == home / "responses.sqlite3"
    ResponseStore().close()
    assert default_store_path().exists()


def test_every_commit_goes_onto_the_disk(store: ResponseStore) -> None:
    settings = {
        name: store._database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2}  # 2 is FULL


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes, " * 100)
    with pytest.raises(ArtifactError, match="damaged"):
        ResponseStore(path)
    assert path.read_text() == "my notes, " * 100


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photos.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE photos (name)")
    with pytest.raises(ArtifactError, match="no store of responses"):
        ResponseStore(path)
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("photos",)]


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s"
    ResponseStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(ArtifactError, match="version 2, and this Palate reads version 1"):
        ResponseStore(path)


def test_damage_inside_is_found_on_opening_and_nothing_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with ResponseStore(path) as store:
        for number in range(50):
            store.put("there", question(f"hello {number}"), b"x" * 2000)
    data = bytearray(path.read_bytes())
    for place in range(4096 * 3, 4096 * 12):
        data[place] ^= 0x5A
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="damaged") as told:
        ResponseStore(path)
    assert "-wal" in told.value.next
    assert path.read_bytes() == data


def test_a_folder_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactError, match="move away"):
        ResponseStore(tmp_path / "file" / "s")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArtifactError, match="cannot be used"):
        ResponseStore(tmp_path / "folder")


def test_a_full_disk_leaves_what_was_stored(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk; the child stores until it is refused."""
    path = tmp_path / "s"
    child = os.fork()
    if child == 0:
        code = 3
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            store = ResponseStore(path)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
            for number in range(1000):
                try:
                    store.put("there", question(str(number)), os.urandom(5000))
                except ArtifactError as error:
                    (tmp_path / "told").write_text(f"{number}\n{error}")
                    code = 0
                    break
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    number, told = (tmp_path / "told").read_text().split("\n", 1)
    assert int(number) > 10
    assert "free some space" in told
    with ResponseStore(path) as store:
        assert len(store) == int(number)
        for before in range(int(number)):
            assert store.get("there", question(str(before))) is not None


def test_six_processes_make_one_store_at_once(tmp_path: Path) -> None:
    """The statement that makes it a write-ahead one does not wait for others by itself."""
    program = """
import sys
from palate.asking import ResponseStore
for number in range(15):
    print("ready", flush=True)
    sys.stdin.readline()
    ResponseStore(f"{sys.argv[1]}-{number}").close()
"""
    command = [sys.executable, "-c", program, str(tmp_path / "s")]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    for _ in range(15):
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0] * 6


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    program = """
import sys
from palate.asking import Request, ResponseStore
from palate.records import Message
with ResponseStore(sys.argv[1]) as store:
    for number in range(60):
        asked = Request("m", (Message("user", str(number)),))
        assert store.put("there", asked, sys.argv[2].encode()).body in (b"one", b"two")
        store.put("there", Request("m", (Message("user", sys.argv[2]),), sample=number), b"own")
"""
    path = str(tmp_path / "s")
    children = [subprocess.Popen([sys.executable, "-c", program, path, name]) for name in ("one", "two")]
    assert [child.wait() for child in children] == [0, 0]
    with ResponseStore(path) as store:
        assert len(store) == 60 + 60 + 60
        aside = sum(len(store.attempts("there", question(str(number)))) for number in range(60))
    assert aside == 60
