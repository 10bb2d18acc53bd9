"""Being asked to stop: SIGTERM and Ctrl-C are noted, and the loop stops where nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from palate.errors import WorkError

__all__ = ["Interrupted", "Interrupts"]


class Interrupted(WorkError):
    """Training was asked to stop and has saved what it had. `signal_number` is what asked."""

    def __init__(
        self, what: str, *, signal_number: int = signal.SIGINT, where: str = "", why: str = "", next: str = ""
    ) -> None:
        super().__init__(what, where=where, why=why, next=next)
        self.exit_code = 128 + signal_number


class Interrupts:
    """Signals that came in while it listened. A second Ctrl-C stops at once, as if no one listened."""

    def __init__(self) -> None:
        self.received: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note signals instead of dying of them. Only the main thread can; elsewhere nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in kept:
            signal.signal(number, self._note)
        try:
            yield
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def error(self, folder: Path, step: int, num_steps: int) -> Interrupted:
        """What to raise once everything is saved."""
        number = self.received or signal.SIGTERM
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        kept = (
            f"after step {step} of {num_steps}; its checkpoint is saved" if step else "before its first step"
        )
        return Interrupted(
            f"stopped {kept}",
            signal_number=number,
            where=str(folder),
            why=f"{name} asked for it",
            next=f"palate resume {folder} goes on from there, with the same numbers as if it had not stopped",
        )
