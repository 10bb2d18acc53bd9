"""Running the fake chat-completions server in a child process, and reading what it counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).parent / "asking" / "fake_server.py"


@dataclass(frozen=True)
class RunningServer:
    """Where it listens, and what it has written."""

    base_url: str
    log: Path

    def arrivals(self) -> list[dict[str, Any]]:
        """Every request that reached it, in order."""
        return [event for event in self._events() if event["event"] == "arrived"]

    def counts(self) -> Counter[str]:
        """How often each prompt came."""
        return Counter(event["prompt"] for event in self.arrivals())

    def _events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def running_server(log: Path, *options: str) -> Iterator[RunningServer]:
    """A server for as long as the block lasts."""
    command = [sys.executable, str(PROGRAM), "--log", str(log), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield RunningServer(child.stdout.readline().strip(), log)
        finally:
            child.kill()
