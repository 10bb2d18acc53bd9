"""A voting server in a child process, and the store it keeps, for tests that look at it in a browser.

Run as a program it serves the store of its first argument, and prints the address to begin at.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from palate.annotate.ballots import Ballots
from palate.annotate.events import Event
from palate.annotate.store import VoteStore


@dataclass
class VotingServer:
    """Where it is entered, and where its votes are."""

    entrance: str
    store: Path

    @property
    def root(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return "/".join(self.entrance.split("/")[:3])

    def events(self) -> list[Event]:
        """All that was stored, in order."""
        with VoteStore(self.store) as store:
            return store.events()

    def votes(self, annotator: str) -> list[Event]:
        """The votes that count now."""
        ballots = Ballots()
        for event in self.events():
            ballots.apply(event)
        return list(ballots.of_annotator(annotator).values())


@contextmanager
def voting_server(store: Path, port: int = 0) -> Iterator[VotingServer]:
    """A server for as long as the block lasts."""
    command = [sys.executable, __file__, str(store), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            entrance = child.stdout.readline().strip()
            assert entrance, "the server did not start"
            yield VotingServer(entrance, store)
        finally:
            child.terminate()
            child.wait(20)


def _serve(store: Path, port: int) -> None:
    from palate.annotate.security import Access
    from palate.annotate.server import build_app
    from palate.annotate.serving import listen, serve
    from palate.annotate.voting import Voting

    listening = listen("127.0.0.1", port)
    access = Access(port=listening.getsockname()[1])
    with VoteStore(store) as votes:
        app = build_app(Voting(votes), access)
        serve(app, listening, lambda: print(access.url(), flush=True))  # noqa: T201


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
