"""Every change to a disk that lasting files need, one function each: a test can die before any of them.

All raise OSError.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from pathlib import Path

__all__ = [
    "chmod",
    "copy",
    "exchange",
    "fsync",
    "mkdir",
    "open_file",
    "replace",
    "rmdir",
    "truncate",
    "unlink",
    "write",
]


def open_file(path: Path, flags: int) -> int:
    """A file descriptor; a new file gets the permissions that the umask gives."""
    return os.open(path, flags, 0o666)


def write(descriptor: int, data: memoryview) -> int:
    """Returns how many bytes went through."""
    return os.write(descriptor, data)


def truncate(descriptor: int, size: int) -> None:
    """Cut a file."""
    os.ftruncate(descriptor, size)


def copy(source: Path, path: Path) -> None:
    """Copy a file's content."""
    shutil.copyfile(source, path)


def fsync(descriptor: int) -> None:
    """Have a file or folder on the disk."""
    os.fsync(descriptor)


def chmod(path: Path, mode: int) -> None:
    """Change permissions."""
    path.chmod(mode)


def replace(source: Path, path: Path) -> None:
    """Rename in one step, over a file that has the name."""
    source.replace(path)


def exchange(first: Path, second: Path) -> bool:
    """Give each the other's name in one step; False where the system or the file system has no such call."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    working_folder, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux's <fcntl.h>
    if rename(working_folder, os.fsencode(first), working_folder, os.fsencode(second), exchange) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EXDEV):
        return False
    raise OSError(number, os.strerror(number), str(first))


def mkdir(path: Path) -> None:
    """Make a folder."""
    path.mkdir()


def unlink(path: Path) -> None:
    """Remove a file."""
    path.unlink()


def rmdir(path: Path) -> None:
    """Remove an empty folder."""
    path.rmdir()
