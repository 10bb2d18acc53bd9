"""CSV files as rows, none of which is ever guessed at."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from palate.data.excerpts import excerpt
from palate.data.files.lines import (
    MAX_ROW_CHARACTERS,
    Lines,
    LineTooLong,
    Stream,
    refuse_blank_lines,
    text_of,
)
from palate.data.rows import RawRow
from palate.errors import DataError

__all__ = ["read_csv"]

_QUOTED_CHARACTERS = 1000


def read_csv(stream: Stream, path: str) -> Iterator[RawRow]:
    """The rows below a header that names the columns.

    Raises:
        DataError: the header is none, or where rows start can no longer be told.
    """
    # Python's own limit is 131,072 characters, which a long dialogue passes; it is the process's, and is
    # only ever raised. A whole row is bounded by `Lines`.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_CHARACTERS + 1))
    with text_of(stream, path, newline="") as text:
        yield from _rows(Lines(text, path), path)


def _rows(lines: Lines, path: str) -> Iterator[RawRow]:
    # Strict: a forgiving reader turns a stray quote into other text, or swallows the rest of the file.
    reader = csv.reader(lines, strict=True)
    header = _header(reader, path)
    width, num_blank = len(header), 0
    while True:
        line = lines.number + 1
        lines.num_held = 0
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield RawRow(line, problem=_reason(error), text=f"lines {line} to {lines.number}")
            continue
        except LineTooLong as long:
            if long.has_quote or lines.number > line:
                raise _row_without_end(line, path) from None
            problem = f"the row is longer than {MAX_ROW_CHARACTERS:,} characters"
            yield RawRow(line, problem=problem, text=long.start)
            continue
        if cells is None:
            return
        num_blank = 0 if cells else num_blank + 1
        refuse_blank_lines(num_blank, line, path)
        if len(cells) == width:
            yield RawRow(line, dict(zip(header, cells, strict=True)))
        elif cells:  # a blank line is no row
            problem = f"the row has {len(cells)} cells where the header has {width}"
            yield RawRow(line, problem=problem, text=" | ".join(cells)[:_QUOTED_CHARACTERS])


def _header(reader: Iterator[list[str]], path: str) -> list[str]:
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise DataError(f"the header is not CSV: {error}", where=f"{path}:1") from None
    except LineTooLong:
        raise DataError(
            f"the header is longer than {MAX_ROW_CHARACTERS:,} characters", where=f"{path}:1"
        ) from None
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise DataError(
            f"a column name stands twice: {excerpt(', '.join(repeated))}",
            where=f"{path}:1",
            next="rename one of them",
        )
    return header


def _row_without_end(line: int, path: str) -> DataError:
    return DataError(
        f"the row that starts here is longer than {MAX_ROW_CHARACTERS:,} characters",
        where=f"{path}:{line}",
        why="it has a quotation mark in it, so where the next row starts cannot be told: a quote is perhaps "
        "opened and never closed",
        next="close the quote, or take the row out",
    )


def _reason(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return "not CSV: a quote is opened and never closed, so everything after it is part of this row"
    return f"not CSV: {error}"
