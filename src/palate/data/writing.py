"""Records to a file that Palate, `datasets` and other trainers read as it is."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from palate.data.excerpts import excerpt
from palate.data.files import format_of
from palate.data.files.parquet_rows import write_parquet
from palate.data.kinds import Kind, Record, kind_of
from palate.data.written import NEUTRAL, as_row
from palate.durable import new_file, scratch_file
from palate.errors import DataError

__all__ = ["WRITABLE", "Written", "refuse_unwritable", "write_records"]

WRITABLE = (".jsonl", ".jsonl.gz", ".parquet")
"""The endings of files that records are written into."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    path: Path
    num_records: int
    kind: Kind | None
    """None where there were no records."""
    columns: tuple[str, ...]
    num_bytes: int


def refuse_unwritable(path: Path) -> None:
    """Raises:
    DataError: a folder stands there, or the name does not end as a file of records does.
    """
    if path.is_dir():
        raise DataError("this is a folder, the name of a file was expected", where=str(path))
    if _ending(path) is None:
        raise DataError(
            f'"{"".join(path.suffixes[-2:])}" is no format that records are written in'
            if path.suffix
            else "the file name has no extension",
            where=str(path),
            next=f"use one of {', '.join(WRITABLE)}",
        )


def write_records(records: Iterable[Record], path: Path) -> Written:
    """Write records of one kind, one row each, and say what was written; none is held in memory.

    The name's ending says the format: `.jsonl`, `.jsonl.gz` or `.parquet`. Prompts and completions are
    message lists: pairs have the columns of the layout `messages`, labels of `labels`, rankings of
    `ranking`. `margin`, `weight` and `scores` are there if one record has a margin, a weight other than 1,
    or scores. `provenance` says as text where each record came from. Reading the file gives all of it back.

    The file is there whole or not at all: it grows under a hidden name beside its own.

    Raises:
        DataError: the ending is none of these, or a text cannot be written as UTF-8. ArtifactError: the file
            cannot be written. ValueError: the records are of several kinds, which no layout holds; a number
            is not finite; or there are no records, and Parquet needs to know their kind.
    """
    refuse_unwritable(path)
    with scratch_file(path) as (spool, _):
        spooled = _spool(records, spool, path)
        with new_file(path) as file:
            if _ending(path) == ".parquet":
                if spooled.kind is None:
                    raise ValueError(f"{path}: no records, so their columns are not known")
                write_parquet(file, spooled.kind, spooled.columns, _rows(spool, spooled))
            else:
                _write_lines(spool, spooled, file, packed=_ending(path) == ".jsonl.gz")
            file.flush()
            num_bytes = file.tell()
    return Written(path, spooled.num_records, spooled.kind, spooled.columns, num_bytes)


def _ending(path: Path) -> str | None:
    whole = format_of(path) + (".gz" if path.suffix.lower() == ".gz" else "")
    return whole if whole in WRITABLE else None


@dataclass(frozen=True, slots=True)
class _Spooled:
    """What is known once every record went by: which columns there are shows only then."""

    num_records: int
    kind: Kind | None
    columns: tuple[str, ...]
    is_uniform: bool
    """Whether each line has all of the columns."""


def _spool(records: Iterable[Record], spool: IO[bytes], path: Path) -> _Spooled:
    num_records = 0
    kind: Kind | None = None
    columns: dict[str, None] = {}
    num_extra = 0
    for record in records:
        num_records += 1
        if kind is None:
            kind = kind_of(record)
        elif kind_of(record) != kind:
            raise ValueError(f"{path}: one file holds records of one kind")
        row = as_row(record)
        columns.update(dict.fromkeys(row))
        num_extra += sum(name in row for name in NEUTRAL)
        spool.write(_line(row, record))
    present = [name for name in NEUTRAL if name in columns]
    plain = [name for name in columns if name not in NEUTRAL and name != "provenance"]
    ordered = (*plain, *present, "provenance") if columns else ()
    return _Spooled(num_records, kind, ordered, num_extra == num_records * len(present))


def _line(row: dict[str, Any], record: Record) -> bytes:
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        origin = record.provenance
        raise DataError(
            f"a text holds half of a surrogate pair, which no file can hold as UTF-8: {excerpt(text, 80)}",
            where=f"{origin.source}:{origin.line}",
        ) from None


def _rows(spool: IO[bytes], spooled: _Spooled) -> Iterator[dict[str, Any]]:
    """The rows again, each with all columns."""
    spool.seek(0)
    for line in spool:
        row = json.loads(line)
        yield {name: row[name] if name in row else NEUTRAL[name] for name in spooled.columns}


def _write_lines(spool: IO[bytes], spooled: _Spooled, file: IO[bytes], *, packed: bool) -> None:
    # Without a time in its head: the same records give the same bytes.
    packing = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) if packed else nullcontext(file)
    with packing as out:
        if spooled.is_uniform:
            spool.seek(0)
            shutil.copyfileobj(spool, out, 1024 * 1024)
        else:
            for row in _rows(spool, spooled):
                out.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
