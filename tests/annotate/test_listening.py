"""The socket that the voting server listens on."""

from __future__ import annotations

import asyncio
import socket

from palate.annotate.serving import listen


def test_answers_are_sent_at_once() -> None:
    """Not held back for the other side's acknowledgement, which takes 40 milliseconds on Linux."""

    async def accepted_option() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listening = listen("127.0.0.1", 0)
        async with await asyncio.start_server(accepted, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            option = await found
            writer.close()
            return option

    assert asyncio.run(accepted_option()) != 0
