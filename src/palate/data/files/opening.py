"""Local files as rows: JSON, JSONL, CSV and Parquet, each also gzipped.

Text is read as UTF-8, with or without a byte-order mark. A byte that is not UTF-8 becomes a lone surrogate,
which sets its own row aside later (`messages.py`) instead of costing the file. Rows are read one at a time,
and none that is longer than `MAX_ROW_CHARACTERS` is ever held.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from palate.data.excerpts import excerpt
from palate.data.files.csv_files import read_csv
from palate.data.files.json_files import read_json, read_jsonl
from palate.data.files.lines import MAX_ROW_CHARACTERS, Lines, LineTooLong, Stream, text_of
from palate.data.files.parquet_files import read_parquet
from palate.data.rows import RawRow
from palate.errors import DataError

__all__ = ["FORMATS", "format_of", "read_file", "read_lines"]

_T = TypeVar("_T")


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
    with text_of(stream, path) as text:
        lines = Lines(text, path)
        try:
            for line in lines:
                lines.num_held = 0
                yield lines.number, line.rstrip("\r\n")
        except LineTooLong:
            raise DataError(
                f"the line is longer than {MAX_ROW_CHARACTERS:,} characters", where=f"{path}:{lines.number}"
            ) from None


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


FORMATS: dict[str, Callable[[Stream, str], Iterator[RawRow]]] = {
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
}
"""A reader for each file extension."""
