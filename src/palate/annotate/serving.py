"""Listening on an address until somebody says stop, and then ending in order."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from palate.errors import CallError

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["listen", "serve"]

_HEADERS_TIMEOUT_SECONDS = 10.0
_IDLE_TIMEOUT_SECONDS = 65
_MAX_CONNECTIONS = 500
_STOP_TIMEOUT_SECONDS = 10


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes any that is free.

    Raises:
        CallError: the port is taken, not allowed, or this machine has no such address.
    """
    if not 0 <= port <= 65535:
        raise CallError(f"{port} is no port", where="--port", next="one from 1024 to 65535, or 0 for any")
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise CallError(f'"{host}" is no address: {error}', where="--host") from None
    # Said to be TCP, or asyncio leaves Nagle's algorithm on, and every answer comes 40 milliseconds late.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there it would let a second server take the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise _cannot_listen(host, port, error) from None
    return listening


def _cannot_listen(host: str, port: int, error: OSError) -> CallError:
    if error.errno == errno.EADDRINUSE:
        return CallError(
            f"port {port} is taken",
            where="--port",
            why="another program listens there, perhaps another palate annotate",
            next="stop that one, name another port, or --port 0 for any that is free",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return CallError(f"this machine does not have the address {host}", where="--host")
    if error.errno in (errno.EACCES, errno.EPERM):
        return CallError(
            f"port {port} is not for everybody", where="--port", next="take a port from 1024 to 65535"
        )
    return CallError(f"cannot listen on {host}, port {port}: {error.strerror}", where="--port")


def serve(app: FastAPI, listening: socket.socket, on_ready: Callable[[], None]) -> None:
    """Answer until SIGINT or SIGTERM comes; then what is being answered is finished.

    `on_ready` is called once, when requests are answered. Requests are not logged: the first has the token in
    its address.
    """
    config = uvicorn.Config(
        app,
        http=_ImpatientProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",  # whoever sends rubbish does not write on the terminal
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_keep_alive=_IDLE_TIMEOUT_SECONDS,
        timeout_graceful_shutdown=_STOP_TIMEOUT_SECONDS,
    )
    _Server(config, on_ready).run([listening])


class _Server(uvicorn.Server):
    """Says when it is ready, and ends by returning where the usual one would raise the signal again."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sign: signal.signal(sign, self.handle_exit) for sign in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sign, handler in before.items():
                signal.signal(sign, handler)


class _ImpatientProtocol(H11Protocol):
    """Closes a connection that does not get to the end of its request's headers in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        if self._deadline is None and self._is_between_requests:
            self._await_headers()
        super().data_received(data)
        if not self._is_between_requests:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    @property
    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_headers(self) -> None:
        self._deadline = self.loop.call_later(_HEADERS_TIMEOUT_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
