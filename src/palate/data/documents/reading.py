"""Documents to make pairs from: rows with a text, text files, or a folder of both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from palate.data.documents.sentences import clean_text, folded
from palate.data.excerpts import excerpt
from palate.data.files import FORMATS, format_of, read_file, read_lines
from palate.data.messages import Unusable, value_of
from palate.data.rows import RawRow, columns_of, quoted_names
from palate.data.structured import describe
from palate.errors import DataError, did_you_mean
from palate.records import Document, Provenance, SetAside, content_id

__all__ = ["TEXT_COLUMNS", "read_documents"]

TEXT_COLUMNS = ("content", "text", "body", "document")
"""Columns that hold a document's text; upper and lower case are one."""

_TEXT_FORMATS = (".txt", ".md", ".markdown")
_DETAILS = {
    "title": ("title", "headline"),
    "author": ("author", "author_full_name", "author_name"),
    "link": ("link", "url"),
    "platform": ("platform",),
    "date": ("date", "published"),
}
"""What is kept of a row beside its text, and the columns it may stand in, the best first."""
_HEADING = re.compile(r"#{1,2} (.+)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_DETAIL_CHARACTERS = 500


def read_documents(
    path: str, *, text_column: str | None = None, limit: int | None = None
) -> tuple[tuple[Document, ...], tuple[SetAside, ...]]:
    """The documents of a file or folder, cleaned, in order; and what holds none, with its reason.

    A `.txt` or `.md` file is one document. Any format `read_file` knows holds rows, one document each, in
    `text_column` or the one of `TEXT_COLUMNS` that is there. Of a folder all such files are read, by name,
    hidden ones left out. A document that repeats an earlier one, but for white space, is set aside, and so
    is an empty one. `limit` reads only the first rows or files. How texts are cleaned: `clean_text`.

    Raises:
        DataError: nothing is there, it cannot be read, or no column or several hold the text.
    """
    found: list[Document | SetAside] = []
    for item in _items(path, text_column):
        if limit is not None and len(found) == limit:
            break
        found.append(item)
    if not found:
        raise DataError("there are no documents", where=path, next="name a file or folder that holds some")
    return _each_once(found)


def _items(path: str, text_column: str | None) -> Iterator[Document | SetAside]:
    try:
        is_folder = Path(path).is_dir()
    except (OSError, ValueError):
        is_folder = False  # opening it says what is wrong
    if not is_folder:
        yield from _of_file(path, text_column, Path(path).name)
        return
    folder = Path(path)
    inside = sorted(file for file in folder.rglob("*") if file.is_file())
    files = [(file, file.relative_to(folder)) for file in inside]
    files = [(f, name) for f, name in files if not any(part.startswith(".") for part in name.parts)]
    readable = [(f, name) for f, name in files if format_of(f) in (*_TEXT_FORMATS, *FORMATS)]
    if text_column is not None and not any(format_of(f) in FORMATS for f, _ in readable):
        _refuse_text_column(text_column, path)
    for file, name in files:
        if (file, name) in readable:
            column = None if format_of(file) in _TEXT_FORMATS else text_column
            yield from _of_file(str(file), column, name.as_posix())
        else:
            reason = f'"{excerpt(format_of(file))}" is no format documents are read from'
            yield SetAside(str(file), None, reason)


def _refuse_text_column(text_column: str, path: str) -> None:
    raise DataError(
        f'text_column = "{excerpt(text_column)}" has no effect: there are no rows',
        where=path,
        why="a text file is one document",
        next="drop text_column",
    )


def _of_file(path: str, text_column: str | None, name: str) -> Iterator[Document | SetAside]:
    if format_of(path) in _TEXT_FORMATS:
        if text_column is not None:
            _refuse_text_column(text_column, path)
        yield _of_text("\n".join(line for _, line in read_lines(path)), path, name)
        return
    if format_of(path) not in FORMATS:
        _refuse_nothing(path)
        raise DataError(
            f'"{excerpt(format_of(path))}" is no format documents are read from',
            where=path,
            why="the extension says how to read it",
            next=f"use one of {', '.join((*_TEXT_FORMATS, *FORMATS))}, each also with .gz",
        )
    rows = list(read_file(path))
    if not rows:
        return
    columns = columns_of(rows)
    column = _text_column(columns, text_column, path)
    for row in rows:
        yield _of_row(row, column, path)


def _refuse_nothing(path: str) -> None:
    try:
        is_there = Path(path).exists()
    except OSError:
        is_there = False
    if not is_there:
        raise DataError(
            "no such file or folder", where=path, next="check the path; it is relative to where you are"
        )


def _of_text(text: str, path: str, name: str) -> Document | SetAside:
    try:
        cleaned = _usable(text)
    except Unusable as reason:
        return SetAside(path, None, str(reason), excerpt(text))
    heading = _HEADING.match(cleaned)
    detail = {"title": heading[1][:_MAX_DETAIL_CHARACTERS]} if heading else {}
    return Document(name, cleaned, Provenance(path, None, detail))


def _of_row(row: RawRow, column: str, path: str) -> Document | SetAside:
    try:
        if row.problem:
            raise Unusable(row.problem)
        value = value_of(row.fields, column)
        if not isinstance(value, str):
            raise Unusable(f'"{column}" is {describe(value)}, text was expected')
        text = _usable(value)
    except Unusable as reason:
        return SetAside(path, row.line, str(reason), row.excerpt)
    own = row.fields.get("id")
    named = str(own) if isinstance(own, str | int) and not isinstance(own, bool) and str(own).strip() else ""
    detail = _detail(row.fields)
    return Document(excerpt(named, 200) or content_id(text), text, Provenance(path, row.line, detail))


def _usable(text: str) -> str:
    if _SURROGATE.search(text):
        raise Unusable("the text holds bytes that are no characters")
    cleaned = clean_text(text)
    if not any(character.isalnum() for character in cleaned):
        raise Unusable("the text is empty" if not cleaned else "there is no word in the text")
    return cleaned


def _detail(fields: Mapping[str, Any]) -> dict[str, str]:
    by_name = {str(name).strip().casefold(): value for name, value in reversed(list(fields.items()))}
    detail = {}
    for name, columns in _DETAILS.items():
        values = (by_name.get(column) for column in columns)
        said = next((value for value in values if isinstance(value, str) and value.strip()), None)
        if said is not None and not _SURROGATE.search(said):
            detail[name] = folded(said)[:_MAX_DETAIL_CHARACTERS]
    return detail


def _text_column(columns: Sequence[str], wanted: str | None, path: str) -> str:
    if wanted is not None:
        if wanted in columns:
            return wanted
        raise DataError(
            f'text_column = "{excerpt(wanted)}": no row has this column.{did_you_mean(wanted, columns)}',
            where=path,
            why=f"columns seen: {quoted_names(columns)}",
            next="name one of them",
        )
    found = [column for column in columns if column.strip().casefold() in TEXT_COLUMNS]
    if len(found) == 1:
        return found[0]
    raise DataError(
        f"several columns may be the text: {quoted_names(found)}" if found else "no column of texts",
        where=path,
        why=f"columns seen: {quoted_names(columns)}",
        next="name the one that holds the documents: --text-column NAME",
    )


def _each_once(
    found: Sequence[Document | SetAside],
) -> tuple[tuple[Document, ...], tuple[SetAside, ...]]:
    """Each text once, under an id that no other document has."""
    documents: dict[str, Document] = {}
    set_aside: list[SetAside] = []
    by_text: dict[str, Document] = {}
    for item in found:
        if isinstance(item, SetAside):
            set_aside.append(item)
            continue
        earlier = by_text.setdefault(content_id(folded(item.text)), item)
        if earlier is not item:
            place = SetAside(earlier.provenance.source, earlier.provenance.line, "").place
            where = item.provenance
            reason = "the text is that of an earlier document"
            set_aside.append(SetAside(where.source, where.line, reason, f"as {place}: {excerpt(item.text)}"))
        elif item.id in documents:
            detail = {**item.provenance.detail, "id": item.id}
            other = replace(
                item, id=content_id(item.id, item.text), provenance=replace(item.provenance, detail=detail)
            )
            documents[other.id] = other
        else:
            documents[item.id] = item
    return tuple(documents.values()), tuple(set_aside)
