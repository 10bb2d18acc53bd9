"""Asking the voting application without a network, with every byte of the request in the test's hands."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from palate.annotate.security import Access
from palate.annotate.server import build_app
from palate.annotate.store import VoteStore
from palate.annotate.voting import Voting
from palate.records import Comparison

PORT = 8765


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Browser:
    """Sends what a browser on the page would send; anything of it can be replaced, None leaves it out."""

    app: Any
    access: Access
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""

    def __post_init__(self) -> None:
        self._runner = asyncio.Runner()

    def close(self) -> None:
        self._runner.close()

    def enter(self) -> Browser:
        """With the token, and what the page then knows."""
        answer = self.ask("GET", f"/enter?token={self.access.token}")
        assert answer.status == 303, answer
        self.read_csrf("/")
        return self

    def read_csrf(self, page: str) -> None:
        found = re.search(r'name="palate-csrf" content="([0-9a-f]+)"', self.ask("GET", page).text)
        assert found is not None
        self.csrf = found[1]

    def get(self, target: str, **headers: str | None) -> Answer:
        return self.ask("GET", target, headers)

    def post(self, content: Any, target: str = "/api/events", **headers: str | None) -> Answer:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.ask("POST", target, headers, [body])

    def ask(
        self,
        method: str,
        target: str | bytes,
        headers: Mapping[str, str | None] | None = None,
        body: Iterable[bytes] = (b"",),
        *,
        more: Iterable[tuple[bytes, bytes]] = (),
        client: str = "127.0.0.1",
    ) -> Answer:
        """`body` in pieces; `more` headers beside the usual ones, as bytes."""
        raw = target if isinstance(target, bytes) else target.encode("ascii")
        path, _, query = raw.partition(b"?")
        chunks = list(body)
        usual: dict[str, str | None] = {
            "host": f"127.0.0.1:{self.access.port}",
            "cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()) or None,
        }
        if method not in ("GET", "HEAD"):
            usual |= {
                "origin": f"http://127.0.0.1:{self.access.port}",
                "content-type": "application/json",
                "content-length": str(sum(map(len, chunks))),
                "x-palate-csrf": self.csrf,
            }
        usual |= {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        sent = [
            (name.encode(), value.encode("latin-1")) for name, value in usual.items() if value is not None
        ]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "path": unquote(path.decode("ascii")), "raw_path": path, "query_string": query, "root_path": "",
            "scheme": "http", "headers": [*sent, *more], "client": (client, 50000),
            "server": ("127.0.0.1", self.access.port), "state": {},
        }  # fmt: skip
        answer = self._runner.run(_exchange(self.app, scope, chunks))
        self._keep_cookies(answer)
        return answer

    def _keep_cookies(self, answer: Answer) -> None:
        cookie = answer.headers.get("set-cookie")
        if cookie:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value


async def _exchange(app: Any, scope: dict[str, Any], chunks: list[bytes]) -> Answer:
    sent: list[dict[str, Any]] = []
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": place < len(chunks)}
        for place, chunk in enumerate(chunks, 1)
    ]

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    try:
        await app(scope, receive, send)
    except RuntimeError:
        # Starlette raises again what it has answered with 500, for the log.
        if not sent:
            raise
    start = sent[0]
    assert start["type"] == "http.response.start", start
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(m.get("body", b"") for m in sent[1:]))


def new_browser(store: VoteStore, comparisons: Iterable[Comparison], access: Access | None = None) -> Browser:
    """On a store with these items; not let in yet."""
    store.add_items((comparison, "label") for comparison in comparisons)
    access = access or Access(PORT)
    return Browser(build_app(Voting(store), access), access)


def store_in(folder: Path) -> VoteStore:
    """A new one."""
    return VoteStore(folder / "votes.sqlite3")


def sent_vote(item: str, key: str = "key-00000001", **more: Any) -> dict[str, Any]:
    """What the page sends for a vote."""
    return {
        "key": key, "annotator": "Ann", "kind": "vote", "item": item, "repeat": 0, "choice": "left",
        "note": "", "seconds": 1.5, "undoes": None,
    } | more  # fmt: skip
