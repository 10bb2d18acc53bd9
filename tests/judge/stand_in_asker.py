"""An asker without a server: says what a function says, reads it as a server's reply is read, and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from palate.asking import AskedForm, Reply, Request, Stored, Usage, chat_completion, read_reply
from palate.judge.quoting import read_blocks
from palate.watcher import Watcher

__all__ = ["StandInAsker", "material"]


def material(request: Request) -> dict[str, Any]:
    """What a request shows to the judge, read back from its blocks, by kind."""
    return read_blocks(request.messages[-1].content)


class StandInAsker:
    """`say` gives the text for a request, or a whole Reply."""

    server = "stand-in"

    def __init__(self, say: Callable[[Request], str | Reply], form: AskedForm = "schema") -> None:
        self.say = say
        self.form = form
        self.asked: list[Request] = []

    def ask(self, requests: Iterable[Request], watcher: Watcher | None = None) -> Iterator[Reply]:
        """One reply to each request, as they come in."""
        for request in requests:
            self.asked.append(request)
            said = self.say(request)
            if isinstance(said, Reply):
                yield said
                continue
            body = chat_completion(said, model=request.model, finish_reason="stop", usage=Usage(1, 1))
            form: AskedForm = "text" if request.schema is None else self.form
            yield read_reply(request, Stored(request.key(self.server), body, form))
