"""Where tables of tokens lie: made once on a machine, under a name that says all they were made from."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from palate.durable import ensure_folder, new_folder, read_manifest, remove_folder, verify_folder
from palate.errors import ArtifactError
from palate.home import palate_home
from palate.train.checkpoint import require_space
from palate.train.token_table import TableWriter, TokenTable, load_table, save_columns
from palate.watcher import Watcher

__all__ = ["table_made_once", "tokens_folder"]

Fill = Callable[[TableWriter], None]


_ELSEWHERE = "or let PALATE_HOME name a folder on another disk"


def tokens_folder() -> Path:
    """Where the tables are; it may be deleted while nothing trains."""
    return palate_home() / "tokens"


def table_made_once(
    key: str, fill: Fill, watcher: Watcher, *, with_completions: bool = False, num_bytes: int = 0
) -> TokenTable:
    """The table of this name, which `fill` writes where it is absent or damaged.

    Of several processes one makes it while the others wait. Where Palate's folder cannot be written, it is
    made for this run alone, and the watcher told. `num_bytes` is what it will take on the disk at least.

    Raises:
        ArtifactError: the disk is full. And whatever `fill` raises: then there is no table.
    """
    folder = tokens_folder() / key
    found = _load(folder, watcher)
    if found is not None:
        return found
    lock = _lock(folder, watcher)
    if lock is None:
        return _made_for_this_run(fill, with_completions)
    with lock:
        found = _load(folder, watcher)  # another process may have made it meanwhile
        if found is not None:
            return found
        require_space(folder.parent, num_bytes, "the tokens of these data", _ELSEWHERE)
        rest: dict[str, Any] = {}
        with new_folder(folder, manifest=rest) as place:
            rest |= _write(place, fill, with_completions)
        return load_table(folder, rest)


def _made_for_this_run(fill: Fill, with_completions: bool) -> TokenTable:
    try:
        with tempfile.TemporaryDirectory(prefix="palate-tokens-") as temporary:
            # What is mapped stays readable when its name has gone.
            return load_table(Path(temporary), _write(Path(temporary), fill, with_completions))
    except OSError as error:
        raise ArtifactError(
            f"the tokens of these data cannot be written: {error.strerror or error}",
            where=tempfile.gettempdir(),
            next=f"free some space there, {_ELSEWHERE}",
        ) from None


def _write(folder: Path, fill: Fill, with_completions: bool) -> dict[str, Any]:
    with (folder / "tokens.bin").open("wb") as tokens, (folder / "texts.bin").open("wb") as texts:
        writer = TableWriter(tokens, texts, with_completions=with_completions)
        fill(writer)
    return save_columns(writer.finish(), folder)


def _load(folder: Path, watcher: Watcher) -> TokenTable | None:
    """The table in a folder, if it is there and every byte is as it was written; a damaged one goes aside."""
    if not folder.is_dir():
        return None
    problems = verify_folder(folder)
    if not problems:
        return load_table(folder, read_manifest(folder))
    watcher.note(f"the tokens in {folder} were damaged, and are made anew: {problems[0]}")
    aside = folder.with_name(f"{folder.name}.damaged")
    with suppress(OSError, ArtifactError):  # another process was quicker, or nothing can be written here
        remove_folder(aside)
        folder.rename(aside)
    return None


def _lock(folder: Path, watcher: Watcher) -> AbstractContextManager[Any] | None:
    """The lock under which a table is made, taken; None where that folder cannot be written.

    It belongs to the operating system, which frees it when its holder dies.
    """
    from filelock import FileLock

    try:
        ensure_folder(folder.parent)
        return FileLock(f"{folder}.lock").acquire()
    except (ArtifactError, OSError) as error:
        why = error.what if isinstance(error, ArtifactError) else error.strerror
        watcher.note(f"the tokens are not kept for later runs, {folder.parent} cannot be written: {why}")
        return None
