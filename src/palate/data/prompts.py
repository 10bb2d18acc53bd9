"""Prompts alone, for models to answer: from a text file, a column of prompts, or any preference rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palate.data.detection import claimed_layout
from palate.data.files import format_of, read_file, read_lines
from palate.data.messages import Unusable, prompt_field, text_field
from palate.data.reading import complete_prompt, read_records
from palate.data.rows import RawRow, columns_of, quoted_names
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import Message, Messages, SetAside

__all__ = ["PromptFile", "read_prompt_file", "read_prompts"]

PROMPT_COLUMNS = ("prompt", "question", "instruction", "idea")
"""Columns that hold a prompt, the first of them that a file has; upper and lower case are one."""


@dataclass(frozen=True, slots=True)
class PromptFile:
    """The distinct prompts of a file in their order. Rows = prompts + repeats + rows set aside."""

    prompts: tuple[Messages, ...]
    lines: tuple[int | None, ...]
    """Of each prompt, where it stands first."""
    num_repeats: int
    set_aside: tuple[SetAside, ...]


def read_prompts(
    path: str, *, system: str | None = None
) -> tuple[tuple[Messages, ...], tuple[SetAside, ...]]:
    """The distinct prompts of a file in their order, and the rows that hold none: as `read_prompt_file`."""
    found = read_prompt_file(path, system=system)
    return found.prompts, found.set_aside


def read_prompt_file(path: str, *, system: str | None = None) -> PromptFile:
    """The prompts of a file, with their lines and a count of repeats.

    `.txt` holds one prompt a line. Any other format holds rows with a prompt column (with `system`, and with
    Alpaca's `input` beside `instruction`), or preference rows in any layout that `read_records` knows.

    Raises:
        DataError: the file cannot be read, or has neither a prompt column nor a known layout.
    """
    if format_of(path) == ".txt":
        rows = [RawRow(number, {"prompt": line}) for number, line in read_lines(path) if line.strip()]
    else:
        rows = list(read_file(path))
    if not rows:
        raise DataError("there are no prompts", where=path, next="name a file that holds some")
    if claimed_layout(rows, path) is not None:
        found = read_records(SourceOptions(source=path), system=system)
        said = [(record.prompt, record.provenance.line) for record in found.records]
        return _each_once(said, found.set_aside)
    return _from_column(rows, _prompt_column(rows, path), path, system)


def _prompt_column(rows: Sequence[RawRow], path: str) -> str:
    columns = columns_of(rows)
    for wanted in PROMPT_COLUMNS:
        for column in columns:
            if column.strip().casefold() == wanted:
                return column
    raise DataError(
        "no column of prompts",
        where=path,
        why=f"columns seen: {quoted_names(columns)}",
        next=f"name one of them {', '.join(PROMPT_COLUMNS)}, or write one prompt a line into a .txt file",
    )


def _from_column(rows: Sequence[RawRow], column: str, path: str, system: str | None) -> PromptFile:
    said: list[tuple[Messages, int | None]] = []
    set_aside = []
    for row in rows:
        try:
            if row.problem:
                raise Unusable(row.problem)
            said.append((complete_prompt(_prompt(row.fields, column), row.fields, system), row.line))
        except Unusable as reason:
            set_aside.append(SetAside(path, row.line, str(reason), row.excerpt))
    return _each_once(said, set_aside)


def _each_once(said: Sequence[tuple[Messages, int | None]], set_aside: Sequence[SetAside]) -> PromptFile:
    first: dict[Messages, int | None] = {}
    for prompt, line in said:
        first.setdefault(prompt, line)
    return PromptFile(tuple(first), tuple(first.values()), len(said) - len(first), tuple(set_aside))


def _prompt(fields: Mapping[str, Any], column: str) -> Messages:
    prompt = prompt_field(fields, column)
    if column.strip().casefold() == "instruction" and fields.get("input"):
        # Alpaca's instruction is only half of the prompt where there is an input.
        prompt = (Message("user", f"{prompt[-1].content}\n\n{text_field(fields, 'input')}"),)
    return prompt
