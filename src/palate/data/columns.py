"""Rows of a layout nobody knows, read by columns that the recipe names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palate.data.excerpts import excerpt
from palate.data.rows import RawRow, columns_of, quoted_names
from palate.data.structured import parse_cell
from palate.errors import DataError, did_you_mean
from palate.recipe import ColumnOptions, SourceOptions

__all__ = ["mapped_fields", "parse_columns", "parse_named_columns", "refuse_unknown_columns"]

_ABSENT = object()


def _named(columns: ColumnOptions) -> dict[str, str]:
    """The columns that are named, by what they hold."""
    all_of_them = {
        "prompt": columns.prompt,
        "chosen": columns.chosen,
        "rejected": columns.rejected,
        "completion": columns.completion,
        "label": columns.label,
        "completions": columns.completions,
        "ranks": columns.ranks,
        "scores": columns.scores,
        "system": columns.system,
    }
    return {name: column for name, column in all_of_them.items() if column is not None}


def mapped_fields(fields: Mapping[str, Any], columns: ColumnOptions | None) -> Mapping[str, Any]:
    """The row under the names that layouts know, and nothing beside; the row itself where none are named.

    A path such as `input.messages` reaches into an object, a number in it picks an item of a list
    (`answers.0.text`), and a column whose name has the dots itself goes first. What is not there is left out.
    """
    if columns is None:
        return fields
    found = {name: _at(fields, path) for name, path in _named(columns).items()}
    return {name: value for name, value in found.items() if value is not _ABSENT}


def _at(value: object, path: str) -> object:
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = parse_cell(value)
        except ValueError:
            return _ABSENT
    if isinstance(value, Mapping):
        if path in value:
            return value[path]
        # The longest name that there is: a key may have a dot of its own.
        for cut in range(len(path) - 1, 0, -1):
            if path[cut] == "." and path[:cut] in value:
                return _at(value[path[:cut]], path[cut + 1 :])
        return _ABSENT
    if isinstance(value, list | tuple):
        first, _, rest = path.partition(".")
        if not first.isdecimal() or int(first) >= len(value):
            return _ABSENT
        return _at(value[int(first)], rest) if rest else value[int(first)]
    return _ABSENT


def refuse_unknown_columns(rows: Sequence[RawRow], options: SourceOptions) -> None:
    """An error for a path that none of these rows has.

    Raises:
        DataError: it names the path, and what it could be meant to be.
    """
    if options.columns is None or all(row.problem for row in rows):
        return
    for name, path in _named(options.columns).items():
        if any(_at(row.fields, path) is not _ABSENT for row in rows):
            continue
        known = columns_of(rows)
        raise DataError(
            f'columns.{name} = "{excerpt(path)}": no row has this column.{did_you_mean(path, _paths(rows))}',
            where=options.source,
            why=f"columns seen: {quoted_names(known)}",
            next="name one of them; a dot reaches into an object, as in input.messages",
        )


def _paths(rows: Sequence[RawRow]) -> list[str]:
    """Columns, and what the objects in them hold, of the first rows."""
    paths: dict[str, None] = {}
    for row in rows[:20]:
        for column, value in row.fields.items():
            paths[str(column)] = None
            if isinstance(value, Mapping):
                paths |= dict.fromkeys(f"{column}.{key}" for key in value)
    return list(paths)


def parse_columns(text: str, where: str = "--columns") -> dict[str, str]:
    """`prompt=q,chosen=good,rejected=bad` as `SourceOptions.columns` takes it.

    Raises:
        DataError: a part is no `name=column`, or a name stands twice or is none.
    """
    return parse_named_columns(
        text,
        list(ColumnOptions.model_fields),
        where=where,
        example="prompt=q,chosen=good,rejected=bad",
        otherwise="is nothing a column can be read as",
    )


def parse_named_columns(
    text: str, known: Sequence[str], *, where: str, example: str, otherwise: str
) -> dict[str, str]:
    """Columns under names of those `known`; of any other name it is said that it `otherwise`.

    Raises:
        DataError: a part is no `name=column`, or a name stands twice or is none.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column:
            raise DataError(f'"{excerpt(part)}" is no name=column', where=where, next=f"write {example}")
        if name not in known:
            raise DataError(
                f'"{excerpt(name)}" {otherwise}.{did_you_mean(name, known)}',
                where=where,
                next=f"use {', '.join(known)}",
            )
        if name in found:
            raise DataError(f'"{name}" is named twice', where=where, next="drop one of the two")
        found[name] = column
    return found
