"""Parquet files as rows, a few row groups' pages at a time."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import IO, Any

from palate.data.excerpts import excerpt
from palate.data.files.lines import Stream
from palate.data.rows import RawRow
from palate.errors import DataError

__all__ = ["MAX_UNPACKED_BYTES", "DamagedValue", "read_parquet"]

MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
"""Of a Parquet file inside gzip. Parquet is compressed by itself, so a larger one is hardly meant."""

_BATCH_ROWS = 1024
_BATCH_BYTES = 32 * 1024 * 1024


class DamagedValue:
    """Stands for a value that Python cannot take: text that is not UTF-8, a date after the year 9999."""


def read_parquet(stream: Stream, path: str) -> Iterator[RawRow]:
    """The rows of all row groups. Numbers with a fixed point become floats; `DamagedValue` costs one value.

    Raises:
        DataError: it is not Parquet, or has a column twice.
    """
    import pyarrow
    import pyarrow.parquet

    with _from_its_end(stream, path) as content:
        try:
            # Pages are read as they are needed: a row group may hold gigabytes.
            table = pyarrow.parquet.ParquetFile(content, buffer_size=1024 * 1024, pre_buffer=False)
            names = table.schema_arrow.names
            if len(set(names)) < len(names):
                raise DataError("a column name stands twice", where=path, next="rename one of them")
            number = 0
            for batch in table.iter_batches(batch_size=_rows_at_once(table.metadata)):
                columns = [_values(column) for column in batch.columns]
                for row in range(batch.num_rows):
                    number += 1
                    yield RawRow(
                        number, {name: column[row] for name, column in zip(names, columns, strict=True)}
                    )
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            reason = excerpt(str(error).partition("\n")[0], 200)
            raise DataError(f"not readable as Parquet: {reason}", where=path) from None


@contextmanager
def _from_its_end(stream: Stream, path: str) -> Iterator[IO[bytes]]:
    """The stream where it can be read from its end, as Parquet has to be; gzip is unpacked beside it."""
    if not isinstance(stream, gzip.GzipFile):
        yield stream
        return
    num_bytes = 0
    with tempfile.TemporaryFile() as unpacked:
        while chunk := stream.read(1024 * 1024):
            num_bytes += len(chunk)
            if num_bytes > MAX_UNPACKED_BYTES:
                raise DataError(
                    f"this Parquet file inside gzip unpacks to more than {MAX_UNPACKED_BYTES:,} bytes",
                    where=path,
                    why="Parquet is read from its end, so all of it has to be unpacked first",
                    next="unpack it once (gunzip), and name the file that comes out",
                )
            unpacked.write(chunk)
        unpacked.seek(0)
        yield unpacked


def _rows_at_once(metadata: Any) -> int:
    """So many rows that they take a bounded part of memory, going by what the file says of its row groups."""
    rows = _BATCH_ROWS
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        if group.num_rows > 0:
            rows = min(rows, _BATCH_BYTES * group.num_rows // max(1, group.total_byte_size))
    return max(1, rows)


def _values(column: Any) -> list[Any]:
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError, ArithmeticError):  # one value that Python cannot take
        values = [_value(item) for item in column]
    if str(column.type).startswith("decimal"):
        return [float(value) if isinstance(value, Decimal) else value for value in values]
    return values


def _value(item: Any) -> Any:
    try:
        return item.as_py()
    except (ValueError, OverflowError, ArithmeticError):
        return DamagedValue()
