"""Listening: taken ports, connections that dawdle, and stopping in order."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from stored_votes import comparison

from palate.annotate import serving
from palate.annotate.security import Access
from palate.annotate.server import build_app
from palate.annotate.serving import listen, serve
from palate.annotate.store import VoteStore
from palate.annotate.voting import Voting
from palate.errors import CallError


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, int]]:
    """A server in a thread, its address and port; stopped as by a signal."""
    with VoteStore(folder / "votes.sqlite3") as store:
        store.add_items([(comparison(1), "label")])
        listening = listen("127.0.0.1", 0)
        port = listening.getsockname()[1]
        access = Access(port)
        ready = threading.Event()
        made: list[serving._Server] = []

        def note(config: object, on_ready: object) -> serving._Server:
            made.append(original(config, on_ready))  # type: ignore[arg-type]
            return made[0]

        original = serving._Server
        serving._Server = note  # type: ignore[assignment,misc]
        try:
            app = build_app(Voting(store), access)
            thread = threading.Thread(target=serve, args=(app, listening, ready.set))
            thread.start()
            assert ready.wait(20)
        finally:
            serving._Server = original  # type: ignore[misc]
        yield access.url(), port
        made[0].should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def some(connection: socket.socket) -> bytes:
    received = connection.recv(1 << 20)
    assert received, "the connection was closed"
    return received


def test_it_answers_over_a_network(tmp_path: Path) -> None:
    with running(tmp_path) as (url, port):
        with httpx2.Client() as client:
            answer = client.get(url, follow_redirects=True)
        assert answer.status_code == 200
        assert str(answer.url) == f"http://127.0.0.1:{port}/"
        assert "token" not in str(answer.url)
        assert "server" not in answer.headers


def test_a_connection_that_does_not_ask_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow-loris: headers that drip in for ever would hold a connection each."""
    monkeypatch.setattr(serving, "_HEADERS_TIMEOUT_SECONDS", 0.3)
    with running(tmp_path) as (_, port), connected(port) as silent, connected(port) as dripping:
        dripping.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        assert silent.recv(100) == b""
        with pytest.raises(OSError):
            for _ in range(200):
                dripping.sendall(b"X-Slow: 1\r\n")
                time.sleep(0.05)
            raise AssertionError("it listens for ever")


def test_a_connection_that_asks_again_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_HEADERS_TIMEOUT_SECONDS", 0.2)
    with running(tmp_path) as (_, port), connected(port) as connection:
        request = f"GET /static/page.css HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        for _ in range(3):
            connection.sendall(request)
            received = b""
            while b"\r\n\r\n" not in received:
                received += some(connection)
            assert received.startswith(b"HTTP/1.1 200"), received[:100]
            length = int(received.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(received.partition(b"\r\n\r\n")[2]) < length:
                received += some(connection)
            time.sleep(0.4)


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n", b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"POST /api/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_hardly_http_is_refused(tmp_path: Path, request_: bytes) -> None:
    with running(tmp_path) as (_, port), connected(port) as connection:
        connection.sendall(request_)
        assert connection.recv(1000).startswith(b"HTTP/1.1 4")


def test_rubbish_writes_nothing_on_the_terminal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path) as (_, port):
        upgrade = (
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        for request in (b"GARBAGE\r\n\r\n", upgrade.encode()):
            with connected(port) as connection:
                connection.sendall(request)
                assert connection.recv(1000).startswith(b"HTTP/1.1 4")
    assert [record.getMessage() for record in caplog.records] == []
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_said_to_be() -> None:
    with listen("127.0.0.1", 0) as first, pytest.raises(CallError, match="is taken") as caught:
        listen("127.0.0.1", first.getsockname()[1])
    assert "--port 0" in caught.value.next


@pytest.mark.parametrize("host", ["203.0.113.7", "x" * 70, ""])
def test_an_address_that_is_not_this_machines(host: str) -> None:
    with pytest.raises(CallError):
        listen(host, 0)


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_what_is_no_port(port: int) -> None:
    with pytest.raises(CallError, match="is no port"):
        listen("127.0.0.1", port)


def test_a_signal_ends_it_and_is_not_raised_again(tmp_path: Path) -> None:
    """What was there before handles signals afterwards."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda sign, frame: seen.append(sign))
    try:
        with VoteStore(tmp_path / "votes.sqlite3") as store, listen("127.0.0.1", 0) as listening:
            app = build_app(Voting(store), Access(listening.getsockname()[1]))
            serve(app, listening, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert seen == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
