"""`palate annotate` in a child process, and the store it keeps, for tests that look at it in a browser."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from palate.annotate.ballots import Ballots
from palate.annotate.events import Event, Task
from palate.annotate.settings import Settings, write_settings
from palate.annotate.store import VoteStore
from palate.records import Comparison, Message, Provenance


@dataclass
class VotingServer:
    """Where it is entered, and where its votes are."""

    entrance: str
    store: Path

    @property
    def root(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return "/".join(self.entrance.split("/")[:3])

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.root.rpartition(":")[2])

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

    def chosen(self, annotator: str) -> list[str]:
        """The texts that were preferred, and `tie` and `both_bad`, in the order of the votes."""
        with VoteStore(self.store) as store:
            items = {item.id: item.comparison for item in store.items()}
        return [_said(items[event.item], event.choice) for event in self.votes(annotator)]


def _said(comparison: Comparison, choice: str | None) -> str:
    sides = {"a": comparison.completion_a, "b": comparison.completion_b}
    return sides[choice][0].content if choice in sides else str(choice)


@contextmanager
def voting_server(*arguments: str, store: Path, port: int = 0) -> Iterator[VotingServer]:
    """A server for as long as the block lasts."""
    command = [sys.executable, "-m", "palate", "annotate", *arguments, "--store", str(store)]
    command += ["--port", str(port), "--json", "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            assert line, "the server did not start"
            yield VotingServer(json.loads(line)["url"], store)
        finally:
            child.terminate()
            child.wait(20)


def comparison(
    number: int, prompt: str = "", a: str = "", b: str = "", models: tuple[str, str] = ("one", "two")
) -> Comparison:
    """A pair of its own number."""
    return Comparison(
        (Message("user", prompt or f"question {number}"),),
        (Message("assistant", a or f"answer {number} of one"),),
        (Message("assistant", b or f"answer {number} of two"),),
        Provenance("test", number, {"a": {"model": models[0]}, "b": {"model": models[1]}}),
    )


def fill_store(
    path: Path, comparisons: Iterable[Comparison], *, task: Task = "label", question: str = ""
) -> Path:
    """A store of these, wanted from everybody, none of them twice."""
    with VoteStore(path) as store:
        store.add_items((one, task) for one in comparisons)
        write_settings(store, Settings(question=question, overlap="all", repeat_share=0))
    return path
