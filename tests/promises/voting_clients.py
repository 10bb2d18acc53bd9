"""Voting servers in processes of their own, and clients that keep a journal of what was acknowledged."""

from __future__ import annotations

import itertools
import json
import random
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2

from palate.data import write_comparisons
from palate.records import Comparison, Message, Provenance

NUM_ITEMS = 40


def write_source(path: Path) -> list[str]:
    """A file of comparisons; returns their ids."""
    comparisons = [
        Comparison(
            (Message("user", f"Prompt {number}"),),
            (Message("assistant", "one"),),
            (Message("assistant", "other"),),
            Provenance("made", number),
        )
        for number in range(NUM_ITEMS)
    ]
    write_comparisons(comparisons, path)
    return [comparison.id for comparison in comparisons]


class VotingServer:
    """`palate annotate`, started again as often as it dies."""

    def __init__(self, source: Path, store: str) -> None:
        options = ["--store", store, "--port", "0", "--overlap", "all", "--json", "--no-open"]
        self._command = [sys.executable, "-m", "palate", "annotate", str(source), *options]
        self._errors = source.with_name("errors").open("ab")
        self.url: str | None = None
        """Where it can be entered; None while it is down."""

    def start(self) -> None:
        """Returns when it answers."""
        self._child = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=self._errors, text=True)
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        assert line, "the server did not start: see the file of its errors"
        self.url = json.loads(line)["url"]

    def kill(self) -> None:
        """SIGKILL."""
        self.url = None
        self._child.kill()
        self._reap()

    def stop(self) -> None:
        """SIGTERM: it ends in order."""
        self.url = None
        self._child.terminate()
        assert self._reap() == 0

    def _reap(self) -> int:
        code = self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()
        return code

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.url is not None:
            self.kill()
        self._errors.close()


class Browser:
    """A session with a server, as the page has it."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.Client(timeout=30, follow_redirects=True)
        base, token = re.fullmatch(r"(http://[^/]+)/enter\?token=(.+)", url).groups()  # type: ignore[union-attr]
        try:
            # The redirect's cookie is kept by name and host: the client has one jar for this one server.
            page = self._client.get(f"{base}/enter", params={"token": token}).text
        except BaseException:
            self._client.close()
            raise
        self._url = f"{base}/api/events"
        found = re.search(r'name="palate-csrf" content="(\w+)"', page)
        assert found is not None
        self._headers = {"X-Palate-CSRF": found[1]}

    def send(self, event: dict[str, Any]) -> httpx2.Response:
        """Post an event; raises where no answer came."""
        return self._client.post(self._url, json=event, headers=self._headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


@dataclass
class Client:
    """An annotator who votes without a pause, undoes now and then, and sends again what had no answer."""

    name: str
    server: VotingServer
    items: list[str]
    chance: random.Random
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Every event that was sent at least once, by its key."""
    acknowledged: dict[str, int] = field(default_factory=dict)
    """The number that each acknowledged one was told, by its key."""
    refused: list[str] = field(default_factory=list)
    num_sent_again: int = 0
    _waiting: dict[str, Any] | None = None

    def run(self, ended: threading.Event) -> None:
        """Until the end, and until everything sent is acknowledged."""
        while True:
            url = self.server.url
            try:
                if url is not None:
                    with Browser(url) as browser:
                        self._vote(browser, ended)
                        return
            except httpx2.TransportError:
                pass
            time.sleep(0.005)

    def _vote(self, browser: Browser, ended: threading.Event) -> None:
        keys = (f"{self.name}-{number:06d}" for number in itertools.count(len(self.sent)))
        self.num_sent_again += self._waiting is not None
        while self._waiting is not None or not ended.is_set():
            if self._waiting is None:
                self._waiting = self._next(next(keys))
                self.sent[self._waiting["key"]] = self._waiting
            answer = browser.send(self._waiting)
            if answer.status_code != 200:
                self.refused.append(answer.text)
                return
            self.acknowledged[self._waiting["key"]] = answer.json()["number"]
            self._waiting = None

    def _next(self, key: str) -> dict[str, Any]:
        last = list(self.sent.values())[-1] if self.sent else None
        if last is not None and last["kind"] == "vote" and self.chance.random() < 0.2:
            return {**last, "key": key, "kind": "undo", "choice": None, "undoes": last["key"]}
        choice = self.chance.choice(["left", "right", "tie", "both_bad"])
        item = self.chance.choice(self.items)
        return {"key": key, "annotator": self.name, "kind": "vote", "item": item, "choice": choice}
