"""Hidden names for what is not finished, and what becomes of it when its writer was killed."""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from palate.durable import system

__all__ = ["clear_leftovers", "hidden", "is_leftover", "remove_tree", "temporary_name"]

# "tmp" may go once its writer is dead, "old" only where its successor stands.
_HIDDEN_NAME = re.compile(r"\.(?P<name>.+)\.(?P<kind>tmp|old)-(?P<pid>\d+)-\d+")
_numbers = itertools.count()
_in_use_here: set[Path] = set()


def hidden(path: Path, kind: str) -> Path:
    """A hidden name beside `path` that nobody else uses; `kind` is tmp or old.

    Raises:
        IsADirectoryError: it names a folder by where it is, as `.` does, and so has nothing beside it.
    """
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return path.with_name(f".{path.name}.{kind}-{os.getpid()}-{next(_numbers)}")


@contextmanager
def temporary_name(path: Path) -> Iterator[Path]:
    """A hidden name beside `path`; what still has it at the end is removed, as well as can be."""
    temporary = hidden(path, "tmp")
    _in_use_here.add(temporary)
    try:
        yield temporary
    finally:
        with suppress(OSError):
            remove_tree(temporary)
        _in_use_here.discard(temporary)


def is_leftover(path: Path) -> bool:
    """Whether it has the name of what a writer has not finished."""
    return _HIDDEN_NAME.fullmatch(path.name) is not None


def _is_in_use(leftover: Path, pid: int) -> bool:
    if pid == os.getpid():  # in a container, an earlier life may well have had the same number
        return leftover in _in_use_here
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process
        return True
    return True


def clear_leftovers(folder: Path, name: str | None) -> None:
    """Remove what killed writers left of one name in a folder, or of all; living ones' work stays.

    A folder that was set aside and whose successor never came gets its name back. Raises OSError.
    """
    for leftover in sorted(folder.glob(".*")):
        match = _HIDDEN_NAME.fullmatch(leftover.name)
        if match is None or name not in (None, match["name"]) or _is_in_use(leftover, int(match["pid"])):
            continue
        final = folder / match["name"]
        with suppress(FileNotFoundError):  # another process clears up too
            if match["kind"] == "old" and not os.path.lexists(final):
                system.replace(leftover, final)
            else:
                remove_tree(leftover)


def remove_tree(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there. Raises OSError."""
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        system.unlink(path)
        return
    for inner in sorted(path.iterdir()):
        remove_tree(inner)
    system.rmdir(path)
