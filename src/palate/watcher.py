"""Being told how work is going. The library calls a watcher; whoever runs it decides what to show."""

from __future__ import annotations

__all__ = ["Watcher"]


class Watcher:
    """Watches in silence. The command line's watcher draws progress bars."""

    def note(self, text: str) -> None:
        """Something a person would want to know, in one line."""

    def begin(self, task: str, total: int) -> None:
        """`total` pieces of `task` are about to be worked on; 0 where nobody knows how many."""

    def advance(self, done: int, detail: str = "") -> None:
        """`done` of them are done."""

    def end(self) -> None:
        """The task that began last is over."""
