"""The manifest of a folder: its files' sizes and hashes, by which damage is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from palate.durable.files import json_bytes
from palate.errors import ArtifactError

__all__ = ["MANIFEST", "entries", "manifest_of", "read_manifest", "verify_folder"]

MANIFEST = "manifest.json"
"""The file of a folder that tells what else is in it."""

_FORMAT = 1


def manifest_of(folder: Path, extra: Mapping[str, Any]) -> bytes:
    """The manifest that a folder's files make, as it is written: with a hash of itself."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _file_digest(path)}
        for path in entries(folder)
    }
    content = {"format": _FORMAT, **extra, "files": files}
    return json_bytes({**content, "sha256": _digest(content)})


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
        intact = digest == _digest(content) and data == json_bytes({**content, "sha256": digest})
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
    for path in entries(folder):
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


def entries(folder: Path) -> list[Path]:
    """All that is in a folder and those below it, folders themselves excepted."""
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json_bytes(content)).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
