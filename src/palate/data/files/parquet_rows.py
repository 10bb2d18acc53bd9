"""Rows of records as Parquet, with columns whose types are stated and not guessed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

from palate.data.kinds import Kind

__all__ = ["write_parquet"]

_GROUP_ROWS = 4096
_GROUP_CHARACTERS = 32 * 1024 * 1024


def write_parquet(
    file: IO[bytes], kind: Kind, columns: Sequence[str], rows: Iterable[dict[str, Any]]
) -> None:
    """Write rows that each have all of the columns, in row groups of bounded size."""
    import pyarrow
    import pyarrow.parquet

    schema = _schema(kind, columns)
    with pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(iter(rows)):
            writer.write_batch(pyarrow.RecordBatch.from_pylist(group, schema=schema))


def _schema(kind: Kind, columns: Sequence[str]) -> Any:
    import pyarrow

    message = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())])
    messages = pyarrow.list_(message)
    types = {
        "prompt": messages,
        "chosen": messages,
        "rejected": messages,
        "completion": messages,
        "label": pyarrow.bool_(),
        "completions": pyarrow.list_(messages),
        "margin": pyarrow.float64(),
        "weight": pyarrow.float64(),
        "scores": pyarrow.list_(pyarrow.float64()),
        "provenance": pyarrow.string(),
    }
    return pyarrow.schema([(name, types[name]) for name in columns])


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    num_characters = 0
    for row in rows:
        group.append(row)
        num_characters += _characters(row)
        if len(group) == _GROUP_ROWS or num_characters >= _GROUP_CHARACTERS:
            yield group
            group, num_characters = [], 0
    if group:
        yield group


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_characters(inner) for inner in value.values())
    return sum(_characters(inner) for inner in value) if isinstance(value, list) else 1
