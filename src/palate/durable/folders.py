"""Folders that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from palate.durable import system
from palate.durable.files import as_artifact_error, make_folders, onto_disk, write_all
from palate.durable.leftovers import clear_leftovers, hidden, remove_tree, temporary_name
from palate.durable.manifest import MANIFEST, entries, manifest_of

__all__ = ["copy_part", "new_folder", "remove_folder", "settle", "write_part"]


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
    with as_artifact_error(final), temporary_name(final) as temporary:
        make_folders(final.parent)
        clear_leftovers(final.parent, final.name)
        if not replace and os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        system.mkdir(temporary)
        yield temporary
        _complete(temporary, manifest)
        aside = _move_into_place(temporary, final)
        onto_disk(final.parent)
        if aside is not None:
            with suppress(OSError):  # the new one stands; the next writer removes what is left of the old
                remove_tree(aside)


def write_part(path: Path, data: bytes) -> None:
    """Write a file of a folder that `new_folder` gave and that nobody sees yet.

    Raises:
        OSError: it cannot be written; `new_folder` makes an ArtifactError of it.
    """
    descriptor = system.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def copy_part(source: Path, path: Path) -> None:
    """`write_part` with another file's content, its subfolder made where it is missing.

    Raises:
        OSError: it cannot be read or written; `new_folder` makes an ArtifactError of it.
    """
    make_folders(path.parent)
    system.copy(source, path)


def remove_folder(path: Path) -> None:
    """Remove a folder, if it is there; one that is half removed no longer has its name.

    Raises:
        ArtifactError: it cannot be removed.
    """
    with as_artifact_error(path, "removed"):
        if not os.path.lexists(path):
            return
        with temporary_name(path) as unnamed:
            system.replace(path, unnamed)
            onto_disk(path.parent)
            remove_tree(unnamed)


def settle(folder: Path) -> None:
    """Clear away what killed writers left in a folder, living ones' work excepted.

    A folder that was set aside and whose successor never came gets its name back.

    Raises:
        ArtifactError: something cannot be removed.
    """
    with as_artifact_error(folder, "cleared of leftovers"):
        clear_leftovers(folder, None)


def _complete(folder: Path, manifest: Mapping[str, Any] | None) -> None:
    """Permissions, manifest, and everything onto the disk."""
    # Some writers make files that only their owner may read. What the umask allows, the new folder tells.
    mode = folder.stat().st_mode & 0o666
    for path in entries(folder):
        if stat.S_IMODE(path.stat().st_mode) != mode:
            system.chmod(path, mode)
        onto_disk(path)
    if manifest is not None:
        write_part(folder / MANIFEST, manifest_of(folder, manifest))
        onto_disk(folder / MANIFEST)
    for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        onto_disk(inner)
    onto_disk(folder)


def _move_into_place(temporary: Path, final: Path) -> Path | None:
    """Give the new folder its name. Returns where the old one is, if that still has to be removed."""
    if not os.path.lexists(final):
        system.replace(temporary, final)
        return None
    if system.exchange(temporary, final):
        return temporary
    aside = hidden(final, "old")
    system.replace(final, aside)
    try:
        system.replace(temporary, final)
    except OSError:
        system.replace(aside, final)
        raise
    return aside
