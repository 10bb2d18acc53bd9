"""What happens to an action that dies, or finds the disk full, at any one of its operations on the disk.

Every such operation of `palate.durable` is a function of `palate.durable.system`; here they are replaced.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from palate.durable import system

Act = Callable[[], object]


@dataclass(frozen=True)
class Moment:
    """Before an operation, or halfway through one that moves bytes."""

    number: int
    name: str
    halfway: bool = False

    def __str__(self) -> str:
        return f"{'halfway through' if self.halfway else 'before'} operation {self.number} ({self.name})"


def moments(act: Act) -> list[Moment]:
    """Do it once, undisturbed; all the moments at which it could have died."""
    names: list[str] = []

    def note(number: int, name: str, args: tuple[Any, ...]) -> None:
        names.append(name)

    with _watched(note):
        act()
    found = []
    for number, name in enumerate(names):
        found.append(Moment(number, name))
        if name in ("write", "copy"):
            found.append(Moment(number, name, halfway=True))
    return found


def dies(act: Act, moment: Moment) -> None:
    """Do it in a process of its own that kills itself at this moment."""
    child = os.fork()
    if child == 0:
        try:
            with _watched(lambda number, name, args: _kill_oneself(moment, number, args)):
                act()
        finally:
            os._exit(3)  # it should not have come so far
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"it was never {moment}"
    assert os.WTERMSIG(status) == signal.SIGKILL


@contextmanager
def full_disk(moment: Moment) -> Iterator[None]:
    """An operation that fails for want of space, once."""

    def fail(number: int, name: str, args: tuple[Any, ...]) -> None:
        if number == moment.number:
            if moment.halfway:
                _do_half(args)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with _watched(fail):
        yield


@contextmanager
def _watched(before: Callable[[int, str, tuple[Any, ...]], None]) -> Iterator[None]:
    """Call `before(number, name, arguments)` ahead of every operation."""
    count = 0

    def watched(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            nonlocal count
            count += 1
            before(count - 1, name, args)
            return operation(*args)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in system.__all__:
            patch.setattr(system, name, watched(name, getattr(system, name)))
        yield


def _kill_oneself(moment: Moment, number: int, args: tuple[Any, ...]) -> None:
    if number == moment.number:
        if moment.halfway:
            _do_half(args)
        os.kill(os.getpid(), signal.SIGKILL)


def _do_half(args: tuple[Any, ...]) -> None:
    """Of `write(descriptor, data)` or `copy(source, path)`."""
    first, second = args
    if isinstance(first, int):
        os.write(first, second[: len(second) // 2])
    else:
        content = Path(first).read_bytes()
        Path(second).write_bytes(content[: len(content) // 2])


def scene(folder: Path, name: str) -> Path:
    """A copy of a folder, to be spoiled."""
    copy = folder.with_name(name)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    return copy


def hidden(folder: Path) -> list[str]:
    """What is left over in a folder and below."""
    return sorted(path.name for path in folder.rglob(".*"))
