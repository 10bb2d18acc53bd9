"""Reference answers, or notes for grading, that a judge is given beside what it judges."""

from __future__ import annotations

from palate.data.files import read_file
from palate.data.messages import Unusable, prompt_field, text_field
from palate.data.reading import complete_prompt
from palate.data.rows import columns_of, quoted_names
from palate.errors import DataError
from palate.records import content_id

__all__ = ["read_references"]

_COLUMNS = ("prompt", "reference")


def read_references(path: str) -> dict[str, str]:
    """The references of a file by their prompts' ids: rows with a `prompt` and a `reference`.

    A prompt is text or a list of messages, with a column `system` beside it where it has a system message.

    Raises:
        DataError: the file cannot be read, a row holds no prompt or no reference, or a prompt has two.
    """
    rows = list(read_file(path))
    columns = columns_of(rows)
    if any(name not in columns for name in _COLUMNS):
        raise DataError(
            "these are no references" if rows else "there are no references",
            where=path,
            why=f"they have the columns {' and '.join(_COLUMNS)}; seen: {quoted_names(columns)}",
        )
    found: dict[str, str] = {}
    for row in rows:
        where = f"{path}:{row.line}"
        try:
            if row.problem:
                raise Unusable(row.problem)
            prompt = complete_prompt(prompt_field(row.fields, "prompt"), row.fields, None)
            text = text_field(row.fields, "reference")
        except Unusable as reason:
            # Set aside it would be a prompt judged by another measure than its neighbours.
            raise DataError(str(reason), where=where, next="mend the row, or take it out") from None
        if found.setdefault(content_id(prompt), text) != text:
            raise DataError(
                "this prompt has another reference above", where=where, next="keep one of the two"
            )
    return found
