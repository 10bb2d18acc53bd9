"""What a person sees while work goes on: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.segment import Segment

from palate.errors import ArtifactError
from palate.watcher import Watcher

__all__ = [
    "ConsoleWatcher",
    "error_console",
    "escaped",
    "finish_output",
    "output_console",
    "print_json",
    "writing_output",
]

_SECONDS_BETWEEN_LINES = 10.0


# What a terminal obeys instead of showing: control characters, and marks that reverse the reading order.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def escaped(text: str) -> str:
    """The text with what a terminal would obey written out, as `\\x1b`; line ends and tabs stay."""
    return _OBEYED.sub(lambda found: repr(found[0])[1:-1], text)


class _SafeConsole(Console):
    """Shows what comes out of files, options and models; its own colours alone reach the terminal raw."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else escaped(text), style, control)


class _OutputConsole(_SafeConsole):
    def print(self, *objects: Any, **how: Any) -> None:
        with writing_output():
            super().print(*objects, **how)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would end with 1; a reader that has enough is no failure


def error_console() -> Console:
    """Progress and notes go to standard error, so that standard output is the result alone."""
    return _SafeConsole(file=sys.stderr, highlight=False, soft_wrap=True)


def output_console(*, soft_wrap: bool = False) -> Console:
    """For the result, on standard output; printing raises as `writing_output` does."""
    return _OutputConsole(highlight=False, soft_wrap=soft_wrap)


@contextmanager
def writing_output() -> Iterator[None]:
    """Where standard output is written to.

    Raises:
        ArtifactError: it cannot be, as on a full disk. BrokenPipeError: its reader wants no more.
    """
    try:
        yield
    except OSError as error:
        # What is still in its buffer would fail once more, with a traceback, when the process ends.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise ArtifactError(
            f"the result cannot be written: {error.strerror or error}", where="standard output"
        ) from None


def finish_output() -> None:
    """Have standard output written to its end; errors as in `writing_output`."""
    with writing_output():
        if sys.stdout is not None:  # whoever closed it does not want to hear
            sys.stdout.flush()


def print_json(content: Any) -> None:
    """The result for machines, alone on standard output."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    # Where the stream cannot take every character, an escape says the same and a "?" would not.
    text = json.dumps(content, ensure_ascii=encoding != "utf8", indent=2)
    with writing_output():
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
        self._task = self._progress.add_task(task, total=total or None, detail="")
        self._progress.start()

    def advance(self, done: int, detail: str = "") -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, detail=detail)
        elif time.monotonic() - self._printed_at > _SECONDS_BETWEEN_LINES:
            self._printed_at = time.monotonic()
            of = f"/{self._total}" if self._total else ""
            self.console.print(f"{self._name}: {done}{of} {detail}".rstrip(), markup=False)

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._task = None
