"""Two completions of a prompt that wait to be judged: the layout in which they are written and read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from palate.data.files import read_file
from palate.data.messages import Unusable, completion_field, prompt_field, value_of
from palate.data.rows import RawRow, columns_of, quoted_names
from palate.durable import write_bytes
from palate.errors import DataError
from palate.records import Comparison, Messages, Provenance, SetAside

__all__ = [
    "COMPARISON_COLUMNS",
    "check_output",
    "comparison_of_row",
    "comparison_row",
    "read_comparisons",
    "read_rows_as",
    "write_comparisons",
    "write_message_rows",
]

_T = TypeVar("_T")

COMPARISON_COLUMNS = ("prompt", "completion_a", "completion_b")
"""Lists of `{"role", "content"}` messages; text alone is read as one turn, of the user or the assistant.
Beside them stand `id` and `provenance`, a JSON object as text."""

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
    columns = ("id", *COMPARISON_COLUMNS, "provenance")
    write_message_rows([comparison_row(comparison) for comparison in comparisons], columns, path)


def write_message_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], path: str | Path) -> None:
    """Rows of these columns: a comparison's three are lists of messages, `flipped` a truth, a vote's
    `repeat` and `seconds` numbers, all others text.

    Raises:
        DataError: the name says no such format. ArtifactError: it cannot be written.
    """
    check_output(path)
    if Path(path).suffix.lower() == ".jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_bytes(Path(path), text.encode("utf-8", "backslashreplace"))
    else:
        write_bytes(Path(path), _parquet(rows, columns))


def comparison_row(comparison: Comparison) -> dict[str, Any]:
    """A comparison as a row of plain data."""
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


def _parquet(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    turns = pyarrow.list_(pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())]))
    types = dict.fromkeys(COMPARISON_COLUMNS, turns) | {"flipped": pyarrow.bool_()}
    types |= {"repeat": pyarrow.int64(), "seconds": pyarrow.float64()}
    schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in columns])
    content = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema), content)
    return content.getvalue()


def read_comparisons(path: str) -> tuple[tuple[Comparison, ...], tuple[SetAside, ...]]:
    """The comparisons of a file in their order, and the rows that are none.

    Raises:
        DataError: the file cannot be read, or no row has the columns of a comparison.
    """
    writer = "palate generate candidates"
    return read_rows_as(path, comparison_of_row, "comparisons", COMPARISON_COLUMNS, writer)


def read_rows_as(
    path: str, read: Callable[[RawRow, str], _T], what: str, needed: Sequence[str], writer: str
) -> tuple[tuple[_T, ...], tuple[SetAside, ...]]:
    """The rows of a file as `read` understands them, and those that it finds unusable.

    Args:
        what: what the rows are, for messages.
        needed: the columns by which such a file is known.
        writer: the command that writes one.

    Raises:
        DataError: the file cannot be read, or has no rows with these columns.
    """
    rows = list(read_file(path))
    columns = columns_of(rows)
    if not rows or any(name not in columns for name in needed):
        raise DataError(
            f"these are no {what}" if rows else f"there are no {what}",
            where=path,
            why=f"they have the columns {', '.join(needed)}; seen: {quoted_names(columns)}",
            next=f"{writer} writes such a file",
        )
    found, set_aside = [], []
    for row in rows:
        try:
            found.append(read(row, path))
        except Unusable as reason:
            set_aside.append(SetAside(path, row.line, str(reason), row.excerpt))
    return tuple(found), tuple(set_aside)


def comparison_of_row(row: RawRow, path: str) -> Comparison:
    """The comparison that a row of `path` holds.

    Raises:
        Unusable: it holds none.
    """
    if row.problem:
        raise Unusable(row.problem)
    prompt = prompt_field(row.fields, COMPARISON_COLUMNS[0])
    a, b = (completion_field(row.fields, name) for name in COMPARISON_COLUMNS[1:])
    if a == b:
        raise Unusable("the two completions are identical")
    return Comparison(prompt, a, b, _with_generators(_origin(row, path), row.fields))


def _with_generators(origin: Provenance, fields: Mapping[str, Any]) -> Provenance:
    """The origin, and the models that columns name and it does not: `generator_a` and `generator_b`."""
    detail = dict(origin.detail)
    for side in ("a", "b"):
        model, known = fields.get(f"generator_{side}"), detail.get(side)
        if isinstance(model, str) and model and not known:
            detail[side] = {"model": model}
    return Provenance(origin.source, origin.line, detail)


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
