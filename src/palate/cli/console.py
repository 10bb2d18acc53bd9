"""What a person sees while work goes on: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from palate.watcher import Watcher

__all__ = ["ConsoleWatcher", "error_console", "print_json"]

_SECONDS_BETWEEN_LINES = 10.0


def error_console() -> Console:
    """Progress and notes go to standard error, so that standard output is the result alone."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def print_json(content: Any) -> None:
    """The result for machines, alone on standard output."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    # Where the stream cannot take every character, an escape says the same and a "?" would not.
    text = json.dumps(content, ensure_ascii=encoding != "utf8", indent=2)
    sys.stdout.write(text + "\n")


class ConsoleWatcher(Watcher):
    """Draws progress bars in a terminal; prints a line now and then where there is none."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or error_console()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._name, self._total, self._printed_at = "", 0, 0.0

    def note(self, text: str) -> None:
        self.console.print(text, markup=False)

    def begin(self, task: str, total: int) -> None:
        self._name, self._total, self._printed_at = task, total, time.monotonic()
        if not self.console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", style="dim"),
            console=self.console,
            transient=True,
        )
        self._task = self._progress.add_task(task, total=total, detail="")
        self._progress.start()

    def advance(self, done: int, detail: str = "") -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, detail=detail)
        elif time.monotonic() - self._printed_at > _SECONDS_BETWEEN_LINES:
            self._printed_at = time.monotonic()
            self.console.print(f"{self._name}: {done}/{self._total} {detail}".rstrip(), markup=False)

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._task = None
