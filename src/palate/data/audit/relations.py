"""The checks that compare rows with each other, over the index of all rows."""

from __future__ import annotations

from collections.abc import Iterator

from palate.data.audit.draft import Draft
from palate.data.audit.index import RowIndex

__all__ = ["relations"]


def relations(index: RowIndex) -> Iterator[Draft]:
    """What they find."""
    yield from ()
