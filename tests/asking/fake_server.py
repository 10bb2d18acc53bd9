"""A chat-completions server that misbehaves as it is told, for tests; it runs in a process of its own.

What it is told stands in the last message: `<<status:500;reset;ok>>` answers the first time that this request
arrives with a 500, the second time by breaking the connection, and from then on well. Requests are told apart
by their whole body. Without instructions it answers well. Every arrival and every end is a line of its log.

    python tests/asking/fake_server.py --log FILE [--port 8000] [--key KEY] [--delay-seconds 0.01]

It prints its base URL in one line when it is ready. Models with these names are special: `missing` (404),
`no-schema` (knows only JSON mode), `no-forms` (knows neither), `new-names` (wants max_completion_tokens).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import socket
import struct
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

__all__ = ["answer_for", "instance_of"]

_SCRIPT = re.compile(r"<<(.*?)>>", re.DOTALL)
HUGE_BYTES = 65 * 2**20


def answer_for(content: str, seed: int | None = None) -> str:
    """What it says to a message; the same on every run."""
    digest = hashlib.sha256(f"{content}|{seed}".encode("utf-8", "backslashreplace")).hexdigest()[:12]
    return f"Answer {digest} is a sentence of its own."


def instance_of(schema: dict[str, Any], text: str) -> Any:
    """Something small that fits a schema: every string is `text`, or what the schema allows."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: instance_of(inner, f"{text} ({name})") for name, inner in schema["properties"].items()}
    if kind == "array":
        count = max(1, schema.get("minItems", 1))
        return [instance_of(schema["items"], f"{text} {number + 1}") for number in range(count)]
    return {"integer": 1, "number": 0.5, "boolean": True, "null": None}.get(kind, text)


class FakeServer:
    """Counts what it receives; `log` is on the disk before it answers."""

    def __init__(self, log: Path, key: str | None, delay_seconds: float) -> None:
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.key = key
        self.delay_seconds = delay_seconds
        self.times: dict[str, int] = {}
        self.num_in_flight = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while head := await self._head(reader):
                length = int(head["headers"].get("content-length", 0))
                body = await reader.readexactly(length)
                if not await self._answer(head, body, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> dict[str, Any] | None:
        try:
            text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = text.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return {"path": first.split()[1], "headers": headers}

    async def _answer(self, head: dict[str, Any], body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection can go on."""
        request = json.loads(body)
        content = request["messages"][-1]["content"] if request.get("messages") else ""
        digest = hashlib.sha256(body).hexdigest()
        number = self.times[digest] = self.times.get(digest, 0) + 1
        self.num_in_flight += 1
        form = (request.get("response_format") or {}).get("type")
        self._note(event="arrived", digest=digest, number=number, path=head["path"], model=request["model"],
                   prompt=content, seed=request.get("seed"), form=form,
                   in_flight=self.num_in_flight, headers=sorted(head["headers"]))  # fmt: skip
        try:
            await asyncio.sleep(self.delay_seconds)
            if refusal := self._refusal(head, request):
                return await _send(writer, *refusal)
            found = _SCRIPT.search(content)
            steps = found[1].split(";") if found else ["ok"]
            step = steps[min(number, len(steps)) - 1]
            return await self._act(step, request, content, writer)
        finally:
            self.num_in_flight -= 1
            self._note(event="ended", digest=digest, number=number)

    def _note(self, **what: Any) -> None:
        os.write(self.log, (json.dumps({"at": time.monotonic(), **what}) + "\n").encode())

    def _refusal(self, head: dict[str, Any], request: dict[str, Any]) -> tuple[int, bytes] | None:
        given = head["headers"].get("authorization", "")
        if self.key is not None and given != f"Bearer {self.key}":
            return 401, _error(f"Incorrect API key provided: {given.removeprefix('Bearer ')}")
        if head["path"].partition("?")[0] != "/v1/chat/completions":
            return 404, _error("Not Found")
        model = request["model"]
        form = (request.get("response_format") or {}).get("type")
        if model == "missing":
            return 404, _error("The model `missing` does not exist")
        if model in ("no-schema", "no-forms") and form == "json_schema":
            return 400, _error("response_format type 'json_schema' is not supported")
        if model == "no-forms" and form == "json_object":
            return 400, _error("unknown field: response_format")
        if model == "new-names" and "max_tokens" in request:
            return 400, _error("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return None

    async def _act(
        self, step: str, request: dict[str, Any], content: str, writer: asyncio.StreamWriter
    ) -> bool:
        name, _, value = step.partition(":")
        if name in _BREAKS:
            return await _BREAKS[name](writer)
        if name == "slow":
            await asyncio.sleep(float(value))
            name = "ok"
        if name == "status":
            return await _send(writer, int(value), _error(f"status {value} was asked for"))
        if name == "busy":  # seconds, or `date`, or nothing
            headers = {}
            if value:
                headers["Retry-After"] = (
                    formatdate(time.time() + 1, usegmt=True) if value == "date" else value
                )
            return await _send(writer, 429, _error("Too many requests"), headers)
        if name == "quota":
            return await _send(writer, 429, _error("You exceeded your quota", code="insufficient_quota"))
        if name == "schema_error":
            return await _send(writer, 400, _error("Invalid schema for response_format"))
        if name == "html":
            page = b"<html><head><title>Bad gateway</title></head></html>"
            return await _send(writer, 200, page, {"Content-Type": "text/html"})
        if name == "half_body":
            return await _send(writer, 200, json.dumps(_completion(request, "cut")).encode()[:-20])
        if name == "error_inside":
            inside = {"error": {"message": "upstream failed", "code": int(value or 502)}}
            return await _send(writer, 200, json.dumps(inside).encode())
        body = json.dumps(_variant(name, value, request, content)).encode()
        headers = {"Content-Type": "text/plain"} if name == "wrong_type" else {}
        return await _send(writer, 200, body, headers)


def _variant(name: str, value: str, request: dict[str, Any], content: str) -> dict[str, Any]:
    """A completion of status 200, well or in one of the ways in which servers differ."""
    text = answer_for(content, request.get("seed"))
    wanted = request.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        text = json.dumps(instance_of(wanted["json_schema"]["schema"], text))
    elif "JSON schema" in content:
        text = json.dumps(instance_of(json.loads(content[content.rindex("schema:\n") + 8 :]), text))
    done = _completion(request, text)
    choice = done["choices"][0]
    message = choice["message"]
    if name == "text":
        message["content"] = value
    elif name == "fenced":
        message["content"] = f"Here it is:\n```json\n{text}\n```\nHope that helps!"
    elif name == "half_text":
        message["content"] = text[: len(text) // 2]
    elif name == "length":
        message["content"], choice["finish_reason"] = text[: len(text) // 2], "length"
    elif name == "finish":
        choice["finish_reason"] = value
    elif name == "no_finish":
        del choice["finish_reason"]
    elif name == "refusal":
        message.update(content=None, refusal="This is against the rules.")
    elif name == "no_choices":
        done["choices"] = []
    elif name == "null":
        message["content"] = None
    elif name == "no_usage":
        del done["usage"]
    elif name == "used_up":
        del choice["finish_reason"]
        done["usage"]["completion_tokens"] = request["max_tokens"]
    elif name == "parts":
        message["content"] = [{"type": "text", "text": text[:5]}, {"type": "text", "text": text[5:]}]
    elif name == "reasoning":
        message.update(content=None, reasoning_content="I wonder.")
    elif name == "tool":
        message.update(content=None, tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}])
    elif name == "think":
        message["content"] = f"<think>\nLet me see.\n</think>\n\n{text}"
    elif name == "surrogate":
        message["content"] = f"{text} \ud83d 你好 \U0001f600"
    return done


def _completion(request: dict[str, Any], text: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": f"{request['model']}-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18},
    }


def _error(message: str, code: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": "error", "code": code}}).encode()


async def _send(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str] | None = None
) -> bool:
    writer.write(_head(status, len(body), headers) + body)
    await writer.drain()
    return True


def _head(status: int, length: int, headers: dict[str, str] | None = None) -> bytes:
    fields = {"Content-Type": "application/json", "Content-Length": str(length), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode()


async def _reset(writer: asyncio.StreamWriter) -> bool:
    """Break the connection hard: the other side reads a reset, not an end."""
    await writer.drain()
    on_close = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, on_close)
    writer.transport.abort()
    return False


async def _reset_in_body(writer: asyncio.StreamWriter) -> bool:
    writer.write(_head(200, 500) + b'{"choices": [')
    return await _reset(writer)


async def _cut(writer: asyncio.StreamWriter) -> bool:
    writer.write(_head(200, 500) + b'{"choices": [')
    await writer.drain()
    return False


async def _never(writer: asyncio.StreamWriter) -> bool:
    while not writer.transport.is_closing():
        await asyncio.sleep(0.02)
    return False


async def _trickle(writer: asyncio.StreamWriter) -> bool:
    writer.write(_head(200, 100_000))
    while not writer.transport.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)
    return False


async def _huge(writer: asyncio.StreamWriter) -> bool:
    writer.write(_head(200, HUGE_BYTES))
    for _ in range(HUGE_BYTES // 2**20):
        writer.write(b" " * 2**20)
        await writer.drain()
    return True


_BREAKS = {
    "reset": _reset,
    "reset_in_body": _reset_in_body,
    "cut": _cut,
    "never": _never,
    "trickle": _trickle,
    "huge": _huge,
}


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key")
    parser.add_argument("--delay-seconds", type=float, default=0.0)
    asked = parser.parse_args()
    fake = FakeServer(asked.log, asked.key, asked.delay_seconds)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", asked.port, backlog=512)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/v1", flush=True)  # noqa: T201
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
