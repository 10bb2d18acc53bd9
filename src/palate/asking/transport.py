"""One attempt over the network, by the openai package: whatever happens comes back as something received."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from palate.asking.limits import Limits
from palate.asking.outcomes import Received
from palate.asking.wording import quoted
from palate.errors import CallError

__all__ = ["MAX_BODY_BYTES", "MIN_SECRET_CHARACTERS", "ChatServer", "read_key", "server_name"]

MAX_BODY_BYTES = 64 * 2**20
"""A longer body is refused: no chat completion has so much text."""
MIN_SECRET_CHARACTERS = 20
"""A shorter key is no secret but a word such as `EMPTY` or `not-needed`, which a prompt may well hold."""
_OPENAI_HOST = "api.openai.com"


def server_name(base_url: str) -> str:
    """The URL of a server as it stands in keys and lineage.

    Raises:
        CallError: it is no http URL, or holds what may be a secret.
    """
    try:
        parts = urlsplit(base_url.strip())
        _ = parts.port  # it is read only now, and may be no number
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = quoted(base_url.split("@")[-1].split("?")[0], 80)
        raise CallError(
            f'"{shown}" is no base URL',
            next="name one such as http://localhost:8000/v1 or https://api.example.com/v1",
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise CallError(
            "the base URL holds a user, a password or a query",
            where=parts.hostname,
            why="the URL is written to the store and into every pair's lineage, and those may be secrets",
            next="put the key into an environment variable, and name that variable",
        )
    return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path.rstrip("/"), "", ""))


def read_key(variable: str | None) -> str | None:
    """The API key that an environment variable holds; None where it is unset or empty.

    Raises:
        CallError: it cannot be sent. The message does not repeat it.
    """
    key = os.environ.get(variable, "").strip() if variable else ""
    if not all("!" <= character <= "~" for character in key):
        raise CallError(
            f"the key in {variable} has characters that a header cannot hold", next=f"set {variable} again"
        )
    return key or None


class ChatServer:
    """A server's `/chat/completions`. Belongs to one event loop."""

    def __init__(self, base_url: str, key: str | None, limits: Limits) -> None:
        import httpx2
        import openai

        self._key = (key or "").encode()
        self._limits = limits
        # What is compressed could be a thousand times longer than what was counted on the way.
        headers: dict[str, Any] = {"Accept-Encoding": "identity"}
        self._options: Any = {} if key else {"headers": {"Authorization": openai.Omit()}}
        if urlsplit(base_url).hostname != _OPENAI_HOST:
            headers |= {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
        timeout = httpx2.Timeout(limits.timeout_seconds, connect=limits.connect_timeout_seconds)
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=base_url,
            max_retries=0,
            default_headers=headers,
            http_client=httpx2.AsyncClient(
                timeout=timeout,
                # A redirected POST turns into a GET, and the key would go to wherever it points.
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=limits.concurrency + 4),
                event_hooks={"response": [_bound_body]},
            ),
        )

    async def send(self, body: bytes) -> Received:
        """One attempt, within the limits' time from its first byte to the last of the answer."""
        import httpx2
        import openai

        try:
            async with asyncio.timeout(self._limits.timeout_seconds):
                response = await self._client.post(
                    "/chat/completions", cast_to=httpx2.Response, content=body, options=self._options
                )
        except (TimeoutError, openai.APITimeoutError) as error:
            if _never_connected(error):
                seconds = self._limits.connect_timeout_seconds
                return Received(problem=f"no connection within {seconds:g} seconds")
            seconds = self._limits.timeout_seconds
            return Received(
                problem=f"no whole answer within {seconds:g} seconds", may_have_been_answered=True
            )
        except openai.APIStatusError as error:
            response = error.response
        except openai.APIConnectionError as error:
            return self._unconnected(error)
        except _BodyTooLong as error:
            return Received(problem=str(error), may_have_been_answered=True)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Received(response.status_code, self._without_key(response.content), headers)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    def _unconnected(self, error: Exception) -> Received:
        cause = error.__cause__ or error
        if isinstance(cause, _BodyTooLong):
            return Received(problem=str(cause), may_have_been_answered=True)
        words = quoted(self._without_key(f"{type(cause).__name__}: {cause}".encode()).decode().rstrip(": "))
        if _never_connected(error):
            return Received(problem=f"no connection: {words}")
        return Received(problem=f"the connection broke: {words}", may_have_been_answered=True)

    def _without_key(self, text: bytes) -> bytes:
        """Some servers repeat the key in what they say about it."""
        is_secret = len(self._key) >= MIN_SECRET_CHARACTERS
        return text.replace(self._key, b"[API key]") if is_secret else text


class _BodyTooLong(Exception):
    def __init__(self) -> None:
        super().__init__(f"the body is longer than {MAX_BODY_BYTES // 2**20} MB")


def _never_connected(error: BaseException) -> bool:
    import httpx2

    return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)


async def _bound_body(response: Any) -> None:
    """Before any of a body is read: see that no more than the bound will be."""
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            num_bytes = 0
            async for chunk in self._stream:
                num_bytes += len(chunk)
                if num_bytes > MAX_BODY_BYTES:
                    raise _BodyTooLong
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    if response.headers.get("content-encoding", "identity") != "identity":
        await response.aclose()
        raise httpx2.DecodingError(
            "the body is compressed, although that was not asked for", request=response.request
        )
    response.stream = Bounded(response.stream)
