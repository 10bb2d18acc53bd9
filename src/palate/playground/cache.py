"""Where the playground keeps what it made, once per machine, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import NamedTemporaryFile

from palate.playground import corpus, tokenizer, training, voices, world
from palate.playground.training import Settings

__all__ = ["file_made_once", "folder_made_once", "model_key", "palate_home"]

_CONTENTS = "contents.json"
_SHAPING_MODULES = (world, voices, corpus, tokenizer, training)


def palate_home() -> Path:
    """The folder for everything Palate keeps between runs: `PALATE_HOME`, else `~/.cache/palate`."""
    named = os.environ.get("PALATE_HOME")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "palate"


def model_key(settings: Settings) -> str:
    """Names everything that shapes the model: the settings, and the source of the world and the training."""
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for module in _SHAPING_MODULES:
        digest.update(Path(str(module.__file__)).read_text(encoding="utf-8").encode())
    return digest.hexdigest()[:16]


def folder_made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, which `make` fills when it is absent or damaged. One process makes it while the others wait.

    It is made under another name and renamed when whole, so that a process killed halfway leaves nothing that
    could be taken for it. The lock belongs to the operating system, which frees it when its holder dies.
    """
    if _is_whole(folder):
        return folder
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
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
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        file.write(text)
    Path(file.name).replace(path)


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
