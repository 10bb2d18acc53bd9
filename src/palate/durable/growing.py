"""Files too large to be held, that are still there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from palate.durable import system
from palate.durable.files import as_artifact_error, make_folders, onto_disk
from palate.durable.leftovers import clear_leftovers, temporary_name

__all__ = ["new_file", "scratch_file"]


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which gets its name when the block ends well; its folder is made where missing.

    Until then, and if the block raises, what was there before stays. What killed writers of the same name
    left is removed.

    Raises:
        ArtifactError: it cannot be written. What was there before is unharmed.
    """
    with scratch_file(path) as (file, temporary):
        yield file
        file.flush()
        system.fsync(file.fileno())
        system.replace(temporary, path)
        onto_disk(path.parent)


@contextmanager
def scratch_file(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A file beside `path` under a hidden name, and that name; it is removed when the block ends.

    Raises:
        ArtifactError: it cannot be written.
    """
    with as_artifact_error(path), temporary_name(path) as temporary:
        make_folders(path.parent)
        clear_leftovers(path.parent, path.name)
        descriptor = system.open_file(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(descriptor, "w+b", buffering=1024 * 1024) as file:
            yield file, temporary
