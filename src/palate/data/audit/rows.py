"""What an audit goes through: the rows of a file as they are read, or those that are in memory already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from palate.data.kinds import Kind, Record
from palate.data.reading import RecordSet
from palate.records import SetAside

__all__ = ["HeldRows", "Rows"]


class Rows(Protocol):
    """Rows that can be gone through again and again; a `RecordStream` is one."""

    layout: str
    num_rows: int | None

    @property
    def source(self) -> str:
        """Where the rows come from."""
        ...

    @property
    def kind(self) -> Kind:
        """What they are."""
        ...

    def __iter__(self) -> Iterator[Record | SetAside]:
        """Each row's record, or the row set aside."""
        ...


class HeldRows:
    """A record set as rows: those that were set aside come last."""

    def __init__(self, records: RecordSet) -> None:
        self._records = records
        self.layout = records.layout
        self.num_rows: int | None = records.num_rows

    @property
    def source(self) -> str:
        """Where the rows come from."""
        return self._records.source

    @property
    def kind(self) -> Kind:
        """What they are."""
        return self._records.kind

    def __iter__(self) -> Iterator[Record | SetAside]:
        yield from self._records.records
        yield from self._records.set_aside
