"""Texts that models are measured by: documents in the style that is wanted, and neutral texts."""

from __future__ import annotations

from collections.abc import Sequence

from palate.data import read_records
from palate.data.documents import read_documents
from palate.data.kinds import records_as
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import Pair, SetAside

__all__ = ["read_neutral_texts", "read_target"]

_WANTED = 'name .txt or .md files, a folder of them, or rows whose texts stand in a column named "text"'


def read_target(source: str) -> tuple[list[str], list[str]]:
    """Documents in the style that is wanted, and in words what was read in their place or not at all.

    Of preference data the chosen answers: they are what the model is to write like.

    Raises:
        DataError: there are none, or nothing says where they stand.
    """
    try:
        return read_neutral_texts(source)
    except DataError as no_documents:
        if "column" not in no_documents.what:
            raise
        try:
            found = read_records(SourceOptions(source=source))
            pairs: list[Pair] = records_as(found.records, "pairs", where=source)
        except DataError:
            raise no_documents from None
        if not pairs:
            raise
    texts = list(dict.fromkeys(pair.chosen[-1].content for pair in pairs))
    said = f"{source} holds preferences: its {len(texts):,} different chosen answers are the target of style."
    return texts, [said, *_not_read(source, found.set_aside)]


def read_neutral_texts(source: str) -> tuple[list[str], list[str]]:
    """Documents, and in words what was not read.

    Raises:
        DataError: there are none, or nothing says which column holds them.
    """
    try:
        documents, set_aside = read_documents(source)
    except DataError as error:
        next_step = _WANTED if "--text-column" in error.next or not error.next else error.next
        raise DataError(error.what, where=error.where, why=error.why, next=next_step) from None
    if not documents:
        why = f"the first: {set_aside[0].place}: {set_aside[0].reason}" if set_aside else ""
        raise DataError("there are no texts", where=source, why=why, next=_WANTED)
    return [document.text for document in documents], _not_read(source, set_aside)


def _not_read(source: str, set_aside: Sequence[SetAside]) -> list[str]:
    if not set_aside:
        return []
    first = set_aside[0]
    num = "1 text" if len(set_aside) == 1 else f"{len(set_aside):,} texts"
    return [f"{num} of {source} not used, the first at {first.place}: {first.reason}."]
