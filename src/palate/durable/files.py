"""Files that are there whole or not at all, and files that grow by lines."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from palate.durable import system
from palate.durable.leftovers import temporary_name
from palate.errors import ArtifactError

__all__ = [
    "append_line",
    "as_artifact_error",
    "ensure_folder",
    "flush_file",
    "json_bytes",
    "make_folders",
    "onto_disk",
    "refuse_closed_folder",
    "write_all",
    "write_bytes",
    "write_json",
    "write_text",
]


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole, and its folder where it is missing; an older file is replaced in one step.

    Raises:
        ArtifactError: it cannot be written. What was there before is unharmed.
    """
    with as_artifact_error(path), temporary_name(path) as temporary:
        make_folders(path.parent)
        descriptor = system.open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            write_all(descriptor, data)
            system.fsync(descriptor)
        finally:
            os.close(descriptor)
        system.replace(temporary, path)
        onto_disk(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for text, as UTF-8. Half an emoji is text to a model; it is written as an escape.

    Raises:
        ArtifactError: it cannot be written.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """`write_bytes` for JSON.

    Raises:
        ArtifactError: it cannot be written. ValueError, TypeError: the content is no JSON. Not-a-number is
            none: readers in other languages would refuse the whole file.
    """
    write_bytes(path, json_bytes(content))


def append_line(path: Path, line: str, *, flush: bool = False) -> None:
    """Add one line to a file, in one call to the system; with `flush` it is on the disk on return.

    A line that does not fit is taken back. A torn line that a power cut left at the end is closed, so that it
    does not swallow this one.

    Raises:
        ArtifactError: it cannot be written. ValueError: it is not one line.
    """
    if "\n" in line:
        raise ValueError("a line cannot hold a line end")
    data = line.encode("utf-8", "backslashreplace") + b"\n"
    with as_artifact_error(path):
        make_folders(path.parent)
        descriptor = system.open_file(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data
            try:
                write_all(descriptor, data)
            except OSError:
                with suppress(OSError):
                    system.truncate(descriptor, size)
                raise
            if flush:
                system.fsync(descriptor)
        finally:
            os.close(descriptor)
        if flush and not size:
            onto_disk(path.parent)


def flush_file(path: Path) -> None:
    """Have what was appended to a file on the disk.

    Raises:
        ArtifactError: it cannot be written.
    """
    with as_artifact_error(path):
        onto_disk(path)
        onto_disk(path.parent)


def ensure_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are missing.

    Raises:
        ArtifactError: it cannot be made.
    """
    with as_artifact_error(path):
        make_folders(path)


def refuse_closed_folder(folder: Path) -> None:
    """See that files can be written into a folder, or that it can be made, and make nothing yet.

    Raises:
        ArtifactError: a file stands there or above it, or nothing may be written there.
    """
    folder = folder.expanduser().resolve()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        why = "nothing can be written there" if there.is_dir() else "it is a file, a folder was expected"
        raise ArtifactError(f"{there} takes no files", where=str(folder), why=why, next="name another place")


def make_folders(path: Path) -> None:
    """Make a folder and those above it, each on the disk. Raises OSError."""
    if path.is_dir():
        return
    make_folders(path.parent)
    try:
        system.mkdir(path)
    except FileExistsError:  # another process was quicker, or a file is in the way
        if not path.is_dir():
            raise
    onto_disk(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, in one call unless the system takes less at once. Raises OSError."""
    left = memoryview(data)
    while left:
        left = left[system.write(descriptor, left) :]


def onto_disk(path: Path) -> None:
    """Have a file's content, or a folder's names, on the disk. Raises OSError."""
    descriptor = system.open_file(path, os.O_RDONLY)
    try:
        system.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """JSON as it is written everywhere: indented, UTF-8, lone surrogates escaped."""
    text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


@contextmanager
def as_artifact_error(path: Path, done: str = "written") -> Iterator[None]:
    """What the system refuses, as an ArtifactError about `path`, which could not be `done`."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"it cannot be {done}: {error.strerror or error}",
            where=str(path),
            why="what stood there before is unharmed" if done == "written" else "",
            next=_REMEDIES.get(error.errno or 0, "see that the disk is sound, and run the same again"),
        ) from None


_FREE_SPACE = "free some space there, and run the same again"
_MAKE_WRITABLE = "make the folder writable, or choose another, and run the same again"
_REMEDIES = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), and run the same again",
    errno.EACCES: _MAKE_WRITABLE,
    errno.EPERM: _MAKE_WRITABLE,
    errno.EROFS: _MAKE_WRITABLE,
    errno.EEXIST: "move away what has that name, and run the same again",
    errno.ENOTDIR: "move away what has that name, and run the same again",
}
