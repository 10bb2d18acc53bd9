"""Two completions of a prompt that wait to be judged: the layout in which they are written and read."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from palate.data.files import read_file
from palate.data.messages import Unusable, messages_field, value_of
from palate.data.rows import RawRow, columns_of, quoted_names
from palate.durable import write_bytes
from palate.errors import DataError
from palate.records import Comparison, Messages, Provenance, SetAside

__all__ = ["COMPARISON_COLUMNS", "check_output", "read_comparisons", "write_comparisons"]

COMPARISON_COLUMNS = ("prompt", "completion_a", "completion_b")
"""Lists of `{"role", "content"}` messages. Beside them stand `id` and `provenance`, a JSON object as text."""

_OUTPUTS = (".jsonl", ".parquet")


def check_output(path: str | Path) -> None:
    """See that rows can be written there, before anything is paid for.

    Raises:
        DataError: the name says no format that is written, or a folder stands there.
    """
    if Path(path).suffix.lower() not in _OUTPUTS:
        raise DataError(
            f'"{Path(path).suffix}" is no format that is written here',
            where=str(path),
            why="the extension says how to write it",
            next=f"end the name in {' or '.join(_OUTPUTS)}",
        )
    if Path(path).is_dir():
        raise DataError("this is a folder, a file is to be written", where=str(path))


def write_comparisons(comparisons: Iterable[Comparison], path: str | Path) -> None:
    """One comparison a row, into `.jsonl` or `.parquet`; an older file is replaced in one step.

    Raises:
        DataError: the name says no such format. ArtifactError: it cannot be written.
    """
    check_output(path)
    rows = [_row(comparison) for comparison in comparisons]
    if Path(path).suffix.lower() == ".jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_bytes(Path(path), text.encode("utf-8", "backslashreplace"))
    else:
        write_bytes(Path(path), _parquet(rows))


def _row(comparison: Comparison) -> dict[str, Any]:
    where = comparison.provenance
    origin = {"source": where.source, "line": where.line, **where.detail}
    return {
        "id": comparison.id,
        "prompt": _plain(comparison.prompt),
        "completion_a": _plain(comparison.completion_a),
        "completion_b": _plain(comparison.completion_b),
        "provenance": json.dumps(origin, ensure_ascii=False),
    }


def _plain(messages: Messages) -> list[dict[str, str]]:
    return [message.as_dict() for message in messages]


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    turns = pyarrow.list_(pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())]))
    columns = [("id", pyarrow.string()), *((name, turns) for name in COMPARISON_COLUMNS)]
    schema = pyarrow.schema([*columns, ("provenance", pyarrow.string())])
    content = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema), content)
    return content.getvalue()


def read_comparisons(path: str) -> tuple[tuple[Comparison, ...], tuple[SetAside, ...]]:
    """The comparisons of a file in their order, and the rows that are none.

    Raises:
        DataError: the file cannot be read, or no row has the columns of a comparison.
    """
    rows = list(read_file(path))
    columns = columns_of(rows)
    if not rows or any(name not in columns for name in COMPARISON_COLUMNS):
        raise DataError(
            "these are no comparisons" if rows else "there are no comparisons",
            where=path,
            why=f"they have the columns {', '.join(COMPARISON_COLUMNS)}; seen: {quoted_names(columns)}",
            next="palate generate candidates writes such a file",
        )
    comparisons, set_aside = [], []
    for row in rows:
        try:
            comparisons.append(_comparison(row, path))
        except Unusable as reason:
            set_aside.append(SetAside(path, row.line, str(reason), row.excerpt))
    return tuple(comparisons), tuple(set_aside)


def _comparison(row: RawRow, path: str) -> Comparison:
    if row.problem:
        raise Unusable(row.problem)
    prompt, a, b = (messages_field(row.fields, name) for name in COMPARISON_COLUMNS)
    if a == b:
        raise Unusable("the two completions are identical")
    return Comparison(prompt, a, b, _origin(row, path))


def _origin(row: RawRow, path: str) -> Provenance:
    """Where it came from as the row says it; the row itself where it says nothing."""
    if row.fields.get("provenance") is None:
        return Provenance(path, row.line)
    try:
        said = json.loads(value_of(row.fields, "provenance"))
    except (ValueError, TypeError, RecursionError):
        raise Unusable('"provenance" is no JSON') from None
    if not isinstance(said, dict):
        raise Unusable('"provenance" is no JSON object')
    source, line = said.pop("source", path), said.pop("line", None)
    if not isinstance(source, str) or not isinstance(line, int | None):
        raise Unusable('"provenance" names no source and line')
    return Provenance(source, line, said)
