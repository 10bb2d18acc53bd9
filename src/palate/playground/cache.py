"""Where the playground keeps what it made, once per machine, whole or not at all."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from palate.errors import ArtifactError
from palate.playground import corpus, tokenizer, training, voices, world
from palate.playground.training import Settings

__all__ = ["file_made_once", "folder_made_once", "model_key", "write_whole"]

_CONTENTS = "contents.json"
_SHAPING_MODULES = (world, voices, corpus, tokenizer, training)


def model_key(settings: Settings) -> str:
    """Names everything that shapes the model: the settings, and the code of the world and the training.

    The code is read without its comments and layout, so that mending those costs nobody a minute.
    """
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for module in _SHAPING_MODULES:
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        digest.update(ast.unparse(ast.parse(source)).encode())
    return digest.hexdigest()[:16]


def folder_made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, which `make` fills when it is absent or damaged. One process makes it while the others wait.

    It is made under another name and renamed when whole, so that a process killed halfway leaves nothing that
    could be taken for it. The lock belongs to the operating system, which frees it when its holder dies.
    """
    if _is_whole(folder):
        return folder
    from filelock import FileLock

    _make_room_for(folder)
    with FileLock(f"{folder}.lock"):
        if _is_whole(folder):
            return folder
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        for leftover in (unfinished, folder):
            if leftover.exists():
                shutil.rmtree(leftover)
        unfinished.mkdir()
        make(unfinished)
        _write_contents(unfinished)
        unfinished.rename(folder)
    return folder


def file_made_once(path: Path, make: Callable[[], str]) -> Path:
    """`path`, holding the text that `make` returns; written when absent, and seen whole or not at all."""
    if not path.exists():
        write_whole(path, make())
    return path


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that no reader ever sees half of it."""
    _make_room_for(path)
    # Not a temporary file of the standard library: those may be read by nobody but their maker.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8", newline="\n")
    unfinished.replace(path)


def _make_room_for(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            "this folder cannot be made",
            where=str(path.parent),
            why=error.strerror or str(error),
            next="set PALATE_HOME to a folder that can be written",
        ) from error


def _write_contents(folder: Path) -> None:
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    (folder / _CONTENTS).write_text(json.dumps(sizes, indent=2) + "\n", encoding="utf-8")


def _is_whole(folder: Path) -> bool:
    """Every file is there with the size that was written: a cache cleaner may have taken some."""
    try:
        sizes = json.loads((folder / _CONTENTS).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False
