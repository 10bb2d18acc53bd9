"""JSON files as rows: an object a line, or one list, read with memory for one row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import IO, Any, Literal

from palate.data.excerpts import excerpt
from palate.data.files.json_lists import list_items, not_json, reason_of
from palate.data.files.lines import (
    MAX_ROW_CHARACTERS,
    Lines,
    LineTooLong,
    Stream,
    refuse_blank_lines,
    text_of,
)
from palate.data.files.nested import rows_of_tree
from palate.data.rows import RawRow, row_of
from palate.data.structured import RepeatedKey, describe, parse_json
from palate.errors import DataError

__all__ = ["MAX_TREE_CHARACTERS", "read_json", "read_jsonl"]

MAX_TREE_CHARACTERS = 128 * 1024 * 1024
"""An object that holds rows somewhere in it is read whole, and needs some ten times its size in memory."""
_QUOTED_CHARACTERS = 1000


def read_jsonl(stream: Stream, path: str) -> Iterator[RawRow]:
    """One row for each line that is not blank.

    Raises:
        DataError: the file is UTF-16, or no file of rows.
    """
    with text_of(stream, path) as text:
        yield from _json_lines(Lines(text, path), path)


def _json_lines(lines: Lines, path: str) -> Iterator[RawRow]:
    rows = _written_lines(lines, path)
    while True:
        try:
            number, line = next(rows)
        except StopIteration:
            return
        except LineTooLong as long:
            problem = f"the line is longer than {MAX_ROW_CHARACTERS:,} characters"
            yield RawRow(lines.number, problem=problem, text=long.start)
            rows = _written_lines(lines, path)
        else:
            yield _row_of_line(number, line)


def _written_lines(lines: Lines, path: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers; ends with `LineTooLong` where one is."""
    num_blank = 0
    lines.num_held = 0
    for line in lines:
        lines.num_held = 0
        if not line.isspace():
            num_blank = 0
            yield lines.number, line
            continue
        num_blank += 1
        refuse_blank_lines(num_blank, lines.number, path)


def _row_of_line(number: int, line: str) -> RawRow:
    try:
        return row_of(number, parse_json(line))
    except ValueError as error:
        return RawRow(number, problem=f"not JSON: {reason_of(error)}", text=line[:_QUOTED_CHARACTERS])


def read_json(stream: Stream, path: str) -> Iterator[RawRow]:
    """The rows of a list, element by element; of an object that holds one list, or splits; or of lines.

    Raises:
        DataError: it is not JSON, a row is too long, or which list is meant cannot be told.
    """
    with text_of(stream, path) as text:
        shape = _shape(text, path)
        text.seek(0)
        if shape == "lines":  # one object a line under the name .json, as much of the Hub has it
            yield from _json_lines(Lines(text, path), path)
        else:
            items = list_items(text, path) if shape == "list" else _rows_in_tree(text, path)
            yield from (row_of(number, item) for number, item in enumerate(items, 1))


def _shape(text: IO[str], path: str) -> Literal["list", "lines", "tree"]:
    """What a JSON file is, told from its beginning: a list may be one line without end."""
    first = _next_written_line(text, path)
    if first.lstrip().startswith("["):
        return "list"
    try:
        is_row = isinstance(parse_json(first), Mapping | RepeatedKey)
    except ValueError:
        return "tree"
    return "lines" if is_row and _next_written_line(text, path) else "tree"


def _next_written_line(text: IO[str], path: str) -> str:
    """The next line that is not blank, or its beginning; empty at the end."""
    num_blank = 0
    while (line := text.readline(MAX_ROW_CHARACTERS)).isspace():
        num_blank += 1
        refuse_blank_lines(num_blank, num_blank, path)
    return line


def _rows_in_tree(text: IO[str], path: str) -> list[Any]:
    whole = text.read(MAX_TREE_CHARACTERS + 1)
    if len(whole) > MAX_TREE_CHARACTERS:
        raise DataError(
            f"the file is longer than {MAX_TREE_CHARACTERS:,} characters and is not a list",
            where=path,
            why="a list, or one object a line, is read row by row; anything else has to be held whole",
            next="save the list of rows as a file of its own, or as one object a line (.jsonl)",
        )
    try:
        tree = parse_json(whole)
    except json.JSONDecodeError as error:
        raise not_json(error, error.lineno, path) from None
    except ValueError as error:
        raise DataError(f"not readable as JSON: {reason_of(error)}", where=path) from None
    rows = rows_of_tree(tree)
    return _one_list(tree, path) if rows is None else rows


def _one_list(tree: object, path: str) -> list[Any]:
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
