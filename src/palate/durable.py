"""The one place where files that must last are written: each is there whole, or not at all.

What is written goes under a hidden name in the same folder, onto the disk, and is renamed in one step; then
the folder that holds the name goes onto the disk too. So a kill or a power cut at any moment leaves the old
or the new, and at worst a hidden leftover, which `settle` and the next writer of that folder remove.

A folder may carry a manifest of its files' sizes and hashes, by which damage is found later.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from palate.errors import ArtifactError

__all__ = [
    "MANIFEST",
    "append_line",
    "copy_part",
    "ensure_folder",
    "flush_file",
    "new_folder",
    "read_manifest",
    "remove_folder",
    "settle",
    "verify_folder",
    "write_bytes",
    "write_json",
    "write_part",
    "write_text",
]

MANIFEST = "manifest.json"
"""The file of a folder that tells what else is in it."""

_FORMAT = 1


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole, and its folder where it is missing; an older file is replaced in one step.

    Raises:
        ArtifactError: it cannot be written. What was there before is unharmed.
    """
    with _as_artifact_error(path), _temporary_name(path) as temporary:
        _make_folders(path.parent)
        descriptor = _open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            _write_all(descriptor, data)
            _fsync(descriptor)
        finally:
            os.close(descriptor)
        _replace(temporary, path)
        _flush(path.parent)


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
    write_bytes(path, _json_bytes(content))


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
    with _as_artifact_error(path):
        _make_folders(path.parent)
        descriptor = _open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data
            try:
                _write_all(descriptor, data)
            except OSError:
                with suppress(OSError):
                    _truncate(descriptor, size)
                raise
            if flush:
                _fsync(descriptor)
        finally:
            os.close(descriptor)
        if flush and not size:
            _flush(path.parent)


def flush_file(path: Path) -> None:
    """Have what was appended to a file on the disk.

    Raises:
        ArtifactError: it cannot be written.
    """
    with _as_artifact_error(path):
        _flush(path)
        _flush(path.parent)


def ensure_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are missing.

    Raises:
        ArtifactError: it cannot be made.
    """
    with _as_artifact_error(path):
        _make_folders(path)


@contextmanager
def new_folder(
    final: Path, *, manifest: Mapping[str, Any] | None = None, replace: bool = False
) -> Iterator[Path]:
    """A hidden folder to be filled; it becomes `final` in one step when the block is left without an error.

    With `manifest` it gets a `manifest.json`: those entries, the format, every file's size and sha256. With
    `replace`, a folder that has the name already gives way in the same step (in two where the file system
    knows no exchange of names; `settle` brings the old one back if a kill fell between them). Files get the
    permissions that the umask gives, whatever wrote them. One thread writes a name at a time.

    Raises:
        ArtifactError: it cannot be written, or is there and not to be replaced. What was there is unharmed.
    """
    with _as_artifact_error(final), _temporary_name(final) as temporary:
        _make_folders(final.parent)
        _settle(final.parent, final.name)
        if not replace and os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        _mkdir(temporary)
        yield temporary
        _complete(temporary, manifest)
        aside = _move_into_place(temporary, final)
        _flush(final.parent)
        if aside is not None:
            with suppress(OSError):  # the new one stands; the next writer removes what is left of the old
                _remove_tree(aside)


def write_part(path: Path, data: bytes) -> None:
    """Write a file of a folder that `new_folder` gave and that nobody sees yet.

    Raises:
        OSError: it cannot be written; `new_folder` makes an ArtifactError of it.
    """
    descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        _write_all(descriptor, data)
    finally:
        os.close(descriptor)


def copy_part(source: Path, path: Path) -> None:
    """`write_part` with another file's content, its subfolder made where it is missing.

    Raises:
        OSError: it cannot be read or written; `new_folder` makes an ArtifactError of it.
    """
    _make_folders(path.parent)
    _copy(source, path)


def remove_folder(path: Path) -> None:
    """Remove a folder, if it is there; one that is half removed no longer has its name.

    Raises:
        ArtifactError: it cannot be removed.
    """
    with _as_artifact_error(path, "removed"):
        if not os.path.lexists(path):
            return
        with _temporary_name(path) as hidden:
            _replace(path, hidden)
            _flush(path.parent)
            _remove_tree(hidden)


def settle(folder: Path) -> None:
    """Clear away what killed writers left in a folder, living ones' work excepted.

    A folder that was set aside and whose successor never came gets its name back.

    Raises:
        ArtifactError: something cannot be removed.
    """
    with _as_artifact_error(folder, "cleared of leftovers"):
        _settle(folder, None)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder: `format`, the entries it was given, `files` (name to `bytes` and `sha256`).

    Raises:
        ArtifactError: it is not there, not as it was written, or of another version of Palate.
    """
    file = folder / MANIFEST
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"it cannot be read: {error.strerror}", where=str(file)) from None
    try:
        content = dict(json.loads(data))
        digest = content.pop("sha256", None)
        # Rendered again, it must be the same to the byte: else a flipped bit could hide in a key or a space.
        intact = digest == _digest(content) and data == _json_bytes({**content, "sha256": digest})
    except (ValueError, TypeError):
        intact = False
    if not intact:
        raise ArtifactError("it is not as it was written", where=str(file))
    if content.get("format") != _FORMAT:
        raise ArtifactError(
            f"it has format {content.get('format')}, and this version of Palate reads format {_FORMAT}",
            where=str(file),
            next="use the version of Palate that wrote it",
        )
    return content


def verify_folder(folder: Path) -> list[str]:
    """What is wrong with a folder that has a manifest, one line a file; empty when it is whole.

    Every file is read and compared with its hash. A file that the manifest does not know is wrong too.
    """
    try:
        files = dict(read_manifest(folder)["files"])
    except ArtifactError as error:
        return [f"{MANIFEST}: {error.what}"]
    problems = []
    for path in _entries(folder):
        name = path.relative_to(folder).as_posix()
        if name != MANIFEST:
            problem = _problem_of(path, files.pop(name, None))
            problems += [f"{name}: {problem}"] if problem else []
    return problems + [f"{name}: it is missing" for name in files]


def _problem_of(path: Path, written: Mapping[str, Any] | None) -> str | None:
    if written is None or path.is_symlink() or not path.is_file():
        return "it is not in the manifest"
    try:
        size = path.stat().st_size
        if size != written["bytes"]:
            return f"it has {size} bytes, and {written['bytes']} were written"
        intact = _file_digest(path) == written["sha256"]
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return None if intact else "its content is not what was written"


def _complete(folder: Path, manifest: Mapping[str, Any] | None) -> None:
    """Permissions, manifest, and everything onto the disk."""
    # Some writers make files that only their owner may read. What the umask allows, the new folder tells.
    mode = folder.stat().st_mode & 0o666
    files = {}
    for path in _entries(folder):
        if stat.S_IMODE(path.stat().st_mode) != mode:
            _chmod(path, mode)
        _flush(path)
        if manifest is not None:
            name = path.relative_to(folder).as_posix()
            files[name] = {"bytes": path.stat().st_size, "sha256": _file_digest(path)}
    if manifest is not None:
        content = {"format": _FORMAT, **manifest, "files": files}
        write_part(folder / MANIFEST, _json_bytes({**content, "sha256": _digest(content)}))
        _flush(folder / MANIFEST)
    for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        _flush(inner)
    _flush(folder)


def _move_into_place(temporary: Path, final: Path) -> Path | None:
    """Give the new folder its name. Returns where the old one is, if that still has to be removed."""
    if not os.path.lexists(final):
        _replace(temporary, final)
        return None
    if _exchange(temporary, final):
        return temporary
    aside = _hidden(final, "old")
    _replace(final, aside)
    try:
        _replace(temporary, final)
    except OSError:
        _replace(aside, final)
        raise
    return aside


def _settle(folder: Path, name: str | None) -> None:
    """`settle` for the leftovers of one name, or of all. Raises OSError."""
    for leftover in sorted(folder.glob(".*")):
        match = _HIDDEN_NAME.fullmatch(leftover.name)
        if match is None or name not in (None, match["name"]) or _is_in_use(leftover, int(match["pid"])):
            continue
        final = folder / match["name"]
        if match["kind"] == "old" and not os.path.lexists(final):
            _replace(leftover, final)
        else:
            _remove_tree(leftover)


# Hidden names: "tmp" may be removed once its writer is dead, "old" only while there is something newer.
_HIDDEN_NAME = re.compile(r"\.(?P<name>.+)\.(?P<kind>tmp|old)-(?P<pid>\d+)-\d+")
_numbers = itertools.count()
_in_use_here: set[Path] = set()


def _hidden(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{kind}-{os.getpid()}-{next(_numbers)}")


@contextmanager
def _temporary_name(path: Path) -> Iterator[Path]:
    """A hidden name beside `path`; what still has it at the end is removed, as well as can be."""
    temporary = _hidden(path, "tmp")
    _in_use_here.add(temporary)
    try:
        yield temporary
    finally:
        with suppress(OSError):
            _remove_tree(temporary)
        _in_use_here.discard(temporary)


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


def _entries(folder: Path) -> list[Path]:
    """All that is in a folder and those below it, folders themselves excepted."""
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _make_folders(path: Path) -> None:
    if path.is_dir():
        return
    _make_folders(path.parent)
    try:
        _mkdir(path)
    except FileExistsError:  # another process was quicker, or a file is in the way
        if not path.is_dir():
            raise
    _flush(path.parent)


def _remove_tree(path: Path) -> None:
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        _unlink(path)
        return
    for inner in sorted(path.iterdir()):
        _remove_tree(inner)
    _rmdir(path)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[_write(descriptor, left) :]


def _flush(path: Path) -> None:
    descriptor = _open(path, os.O_RDONLY)
    try:
        _fsync(descriptor)
    finally:
        os.close(descriptor)


def _json_bytes(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json_bytes(content)).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _as_artifact_error(path: Path, done: str = "written") -> Iterator[None]:
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

# Every change to a disk is made by one of the functions below, so that a test can die before each of them.


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags, 0o666)


def _write(descriptor: int, data: memoryview) -> int:
    return os.write(descriptor, data)


def _truncate(descriptor: int, size: int) -> None:
    os.ftruncate(descriptor, size)


def _copy(source: Path, path: Path) -> None:
    shutil.copyfile(source, path)


def _fsync(descriptor: int) -> None:
    os.fsync(descriptor)


def _chmod(path: Path, mode: int) -> None:
    path.chmod(mode)


def _replace(source: Path, path: Path) -> None:
    source.replace(path)


def _exchange(first: Path, second: Path) -> bool:
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


def _mkdir(path: Path) -> None:
    path.mkdir()


def _unlink(path: Path) -> None:
    path.unlink()


def _rmdir(path: Path) -> None:
    path.rmdir()
