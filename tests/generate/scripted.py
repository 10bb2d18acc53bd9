"""An asker that says what a test wants it to say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from palate.asking import Reply, Request
from palate.records import Message, Messages
from palate.watcher import Watcher

Script = Callable[[Request], "str | Reply"]


class ScriptedAsker:
    """Answers each request by a function; replies come in from the last to the first."""

    def __init__(self, script: Script, server: str = "http://scripted/v1") -> None:
        self.script = script
        self.server = server
        self.asked: list[Request] = []

    def ask(self, requests: Iterable[Request], watcher: Watcher | None = None) -> Iterator[Reply]:
        requests = list(requests)
        self.asked += requests
        for request in reversed(requests):
            said = self.script(request)
            yield said if isinstance(said, Reply) else Reply(request, "answered", text=said)


def user(text: str) -> Messages:
    return (Message("user", text),)
