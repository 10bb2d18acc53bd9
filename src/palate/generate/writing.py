"""What generation leaves: the file asked for, and beside it what was set aside and the account."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from palate.data import write_records
from palate.data.comparisons import write_comparisons
from palate.durable import write_bytes, write_json
from palate.generate.candidates import Candidates
from palate.generate.contrast import Contrast
from palate.generate.triples import Triples

__all__ = ["companion", "write_candidates", "write_pairs", "write_rows"]


def companion(path: str | Path, name: str) -> Path:
    """The file that stands beside an output: `pairs.set_aside.jsonl` of `pairs.parquet`."""
    path = Path(path)
    stem = path.name.removesuffix(".gz")
    return path.with_name(f"{Path(stem).stem}.{name}")


def write_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Rows of plain data as JSONL, there whole or not at all.

    Raises:
        ArtifactError: the file cannot be written.
    """
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_candidates(
    found: Candidates,
    path: str | Path,
    account: Mapping[str, Any],
    set_aside_before: Iterable[Mapping[str, Any]] = (),
) -> dict[str, str]:
    """Comparisons at `path`; candidates, rows set aside, those of earlier stages first, and the account
    beside it. Returns where each is.

    Without a comparison nothing is written at `path`, and what is there stays.

    Raises:
        DataError: the name says no format that is written. ArtifactError: a file cannot be written.
    """
    files = {"candidates": companion(path, "candidates.jsonl")}
    write_rows((candidate.as_row() for candidate in found.candidates), files["candidates"])
    if found.comparisons:
        files["comparisons"] = Path(path)
        write_comparisons(found.comparisons, path)
    return _with_account(files, [*set_aside_before, *found.set_aside], path, account)


def write_pairs(
    found: Contrast | Triples,
    path: str | Path,
    account: Mapping[str, Any],
    set_aside_before: Iterable[Mapping[str, Any]] = (),
) -> dict[str, str]:
    """Pairs at `path`; rows set aside, those of earlier stages first, and the account beside it.

    Returns where each is. Without a pair nothing is written at `path`, and what is there stays.

    Raises:
        DataError: the name says no format that is written. ArtifactError: a file cannot be written.
    """
    files = {}
    if found.pairs:
        files["pairs"] = Path(path)
        write_records(found.pairs, Path(path))
    return _with_account(files, [*set_aside_before, *found.set_aside], path, account)


def _with_account(
    files: dict[str, Path],
    set_aside: Iterable[Mapping[str, Any]],
    path: str | Path,
    account: Mapping[str, Any],
) -> dict[str, str]:
    files["set_aside"] = companion(path, "set_aside.jsonl")
    files["account"] = companion(path, "account.json")
    write_rows(set_aside, files["set_aside"])
    write_json(files["account"], account)
    return {name: str(file) for name, file in files.items()}
