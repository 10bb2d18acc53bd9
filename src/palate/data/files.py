"""Local files as rows: JSON, JSONL, CSV and Parquet, each also gzipped.

Text is read as UTF-8, with or without a byte-order mark. A byte that is not UTF-8 becomes a lone surrogate,
which sets its own row aside later (`messages.py`) instead of costing the file.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from palate.data.excerpts import excerpt
from palate.data.rows import RawRow, row_of
from palate.data.structured import describe, parse_json
from palate.errors import DataError

__all__ = ["FORMATS", "format_of", "read_file", "read_lines"]

_T = TypeVar("_T")
Stream = io.BufferedReader | gzip.GzipFile

MAX_CSV_CELL_CHARACTERS = 64 * 1024 * 1024
"""Python's csv module stops at 131,072 characters, which a long dialogue passes."""


def format_of(path: str | os.PathLike[str]) -> str:
    """The file's format as its name says it (`.jsonl` of `pairs.jsonl.gz`), in lower case, possibly empty."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def read_file(path: str) -> Iterator[RawRow]:
    """The rows of a local file, in order.

    Raises:
        DataError: the file cannot be opened, its format is unknown or broken as a whole, or it is cut off.
    """
    _refuse_what_is_no_file(path)
    reader = FORMATS.get(format_of(path))
    if reader is None:
        raise DataError(
            f'"{format_of(path)}" is no format Palate reads'
            if format_of(path)
            else "the file name has no extension",
            where=path,
            why="the extension says how to read it",
            next=f"use one of {', '.join(FORMATS)}, each also with .gz",
        )
    with _opened(path) as stream:
        yield from _explained(reader(stream, path), path)


def read_lines(path: str) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, without line ends; errors as in `read_file`."""
    _refuse_what_is_no_file(path)
    with _opened(path) as stream:
        yield from _explained(_numbered_lines(stream, path), path)


def _refuse_what_is_no_file(path: str) -> None:
    """A folder has no extension to be told about, and a pipe would be waited on for ever."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (Path("") would be the folder we are in)
    except (OSError, ValueError):
        return  # opening it says what is wrong
    if stat.S_ISDIR(mode):
        raise DataError("this is a folder, a file was expected", where=path, **_what_is_in(Path(path)))
    if not stat.S_ISREG(mode):
        what = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise DataError(
            f"this is {what}, a file was expected",
            where=path,
            why="a source is read more than once: a run reads it again for its hash",
            next=f"write the rows into a file first: one of {', '.join(FORMATS)}",
        )


def _what_is_in(folder: Path) -> dict[str, str]:
    """The `why` and `next` of an error about a folder: what could be meant instead."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return {"next": "name one file in it"}
    readable = [name for name in names if format_of(name) in FORMATS]
    if readable:
        return {"next": f"name one file in it: {_first_names(readable)}"}
    if not names:
        return {"why": "it is empty", "next": "name a file of rows"}
    return {
        "why": f"it holds {_first_names(names)}, and none of it is a {', '.join(FORMATS)} file",
        "next": "name a file of rows, or one in a folder further down",
    }


def _first_names(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(excerpt(name, 60) for name in names[:5]) + more


def _numbered_lines(stream: Stream, path: str) -> Iterator[tuple[int, str]]:
    with _text(stream, path) as lines:
        yield from enumerate((line.rstrip("\r\n") for line in lines), 1)


@contextmanager
def _opened(path: str) -> Iterator[Stream]:
    with _raw(path) as stream:
        # The content decides, not the name: downloads are often unpacked on the way and keep their ".gz".
        if stream.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=stream) as unpacked:
                yield unpacked
        else:
            yield stream


def _raw(path: str) -> io.BufferedReader:
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        problem, next_step = "no such file", "check the path; it is relative to where you are"
    except (OSError, ValueError) as error:
        problem, next_step = f"the file cannot be opened: {getattr(error, 'strerror', None) or error}", ""
    raise DataError(problem, where=path, next=next_step)


def _explained(items: Iterator[_T], path: str) -> Iterator[_T]:
    """The same items; what goes wrong in reading on becomes a `DataError`."""
    num_read = 0
    try:
        for item in items:
            num_read += 1
            yield item
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"the compressed file is broken after {num_read:,} rows: {str(error).rstrip('.')}",
            where=path,
            why="training on the part before the break would be training on other data than you named",
            next="download or compress it again",
        ) from None
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror or error}", where=path) from None


def _text(stream: Stream, path: str, newline: str = "\n") -> IO[str]:
    if stream.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError("the file is UTF-16", where=path, why="Palate reads UTF-8", next="save it as UTF-8")
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline=newline)


def _read_jsonl(stream: Stream, path: str) -> Iterator[RawRow]:
    with _text(stream, path) as lines:
        yield from _json_lines(lines)


def _json_lines(lines: IO[str]) -> Iterator[RawRow]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield row_of(number, parse_json(line))
        except ValueError as error:
            yield RawRow(number, problem=f"not JSON: {_reason(error)}", text=line)


def _reason(error: ValueError) -> str:
    # Without the position, which differs from row to row, so that equal reasons count as equal.
    message = error.msg if isinstance(error, json.JSONDecodeError) else str(error).partition(";")[0]
    return message[:1].lower() + message[1:]


def _read_json(stream: Stream, path: str) -> Iterator[RawRow]:
    with _text(stream, path) as file:
        text = file.read()
    try:
        tree = parse_json(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # one object a line under the name .json, as much of the Hub has it
            yield from _json_lines(io.StringIO(text, newline="\n"))
            return
        raise DataError(
            f"not JSON: {_reason(error)}",
            where=f"{path}:{error.lineno}",
            next="mend it there; one object a line under the name .jsonl would cost only that line",
        ) from None
    except ValueError as error:
        raise DataError(f"not readable as JSON: {_reason(error)}", where=path) from None
    yield from (row_of(number, item) for number, item in enumerate(_records(tree, path), 1))


def _records(tree: object, path: str) -> list[Any]:
    if isinstance(tree, list):
        return tree
    if not isinstance(tree, dict):
        raise DataError(f"a list of rows was expected, the file holds {describe(tree)}", where=path)
    arrays = [key for key, value in tree.items() if isinstance(value, list)]
    if len(arrays) == 1:
        return tree[arrays[0]]
    keys = ", ".join(excerpt(str(key), 40) for key in (arrays or list(tree))[:20])
    what = f"holds several lists: {keys}" if arrays else f"holds no list of rows; its keys: {keys}"
    raise DataError(
        f"the object in this file {what}", where=path, next="save the list of rows as a file of its own"
    )


def _read_csv(stream: Stream, path: str) -> Iterator[RawRow]:
    # The limit is the process's; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CSV_CELL_CHARACTERS))
    with _text(stream, path, newline="") as lines:
        yield from _csv_rows(lines, path)


def _csv_rows(lines: IO[str], path: str) -> Iterator[RawRow]:
    # Strict: a forgiving reader turns a stray quote into other text, or swallows the rest of the file.
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise DataError(f"the header is not CSV: {error}", where=f"{path}:1") from None
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise DataError(
            f"a column name stands twice: {excerpt(', '.join(repeated))}",
            where=f"{path}:1",
            next="rename one of them",
        )
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield RawRow(line, problem=_csv_reason(error), text=f"lines {line} to {reader.line_num}")
            continue
        if cells is None:
            return
        if len(cells) == len(header):
            yield RawRow(line, dict(zip(header, cells, strict=True)))
        elif cells:  # a blank line is no row
            problem = f"the row has {len(cells)} cells where the header has {len(header)}"
            yield RawRow(line, problem=problem, text=" | ".join(cells))


def _csv_reason(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return "not CSV: a quote is opened and never closed, so everything after it is part of this row"
    return f"not CSV: {error}"


def _read_parquet(stream: Stream, path: str) -> Iterator[RawRow]:
    import pyarrow
    import pyarrow.parquet

    # A gzip stream cannot be read from its end, where Parquet keeps its index.
    content = io.BytesIO(stream.read()) if isinstance(stream, gzip.GzipFile) else stream
    try:
        table = pyarrow.parquet.ParquetFile(content)
        names = table.schema_arrow.names
        if len(set(names)) < len(names):
            raise DataError("a column name stands twice", where=path, next="rename one of them")
        number = 0
        for batch in table.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield RawRow(number, row)
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        reason = excerpt(str(error).partition("\n")[0], 200)
        raise DataError(f"not readable as Parquet: {reason}", where=path) from None


FORMATS: dict[str, Callable[[Stream, str], Iterator[RawRow]]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
"""A reader for each file extension."""
