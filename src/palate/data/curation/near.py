"""Rows and prompts that nearly repeat earlier ones: the audit's search, for those who act on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from palate.data.audit.check import AuditedRecord
from palate.data.audit.index import RowIndex
from palate.data.audit.near_duplicates import Candidates, NearDuplicates
from palate.data.reading import RecordStream
from palate.records import Labelled, SetAside

__all__ = ["NearRows"]


class NearRows:
    """Takes in records, then says which of them nearly repeat an earlier one of them."""

    def __init__(self) -> None:
        self._search, self._index = NearDuplicates(), RowIndex()
        self._labels = bytearray()
        """Whether each record calls its completion desirable: texts alike may be judged otherwise."""

    def see(self, record: AuditedRecord) -> None:
        """A record, in the order of its source."""
        said = record.record
        self._labels.append(isinstance(said, Labelled) and said.desirable)
        self._index.see(record)
        self._search.see(record)

    def repeated(self, stream: RecordStream, rows: Sequence[int]) -> NDArray[np.bool_]:
        """Which of the records seen nearly repeat an earlier one; `rows` are their places in the source."""
        flags = np.zeros(len(rows), np.bool_)
        if len(rows):
            near, labels = self._verified(stream, rows).near_rows, self._labels
            flags[[row for row, earlier in near if labels[row] == labels[earlier]]] = True
        return flags

    def like_prompts(self, stream: RecordStream, rows: Sequence[int]) -> list[tuple[int, int]]:
        """Records whose prompt is nearly that of an earlier one, each beside that one."""
        return self._verified(stream, rows).near_prompts if len(rows) else []

    def _verified(self, stream: RecordStream, rows: Sequence[int]) -> Candidates:
        candidates = self._search.candidates(self._index)
        candidates.verify(_again(stream, rows, candidates.wanted))
        return candidates


def _again(
    stream: RecordStream, rows: Sequence[int], wanted: set[int]
) -> Iterator[tuple[int, AuditedRecord]]:
    """The records wanted, by their places among those seen."""
    numbers = {rows[number]: number for number in wanted}
    for row, item in enumerate(stream):
        number = numbers.get(row)
        if number is not None and not isinstance(item, SetAside):
            yield number, AuditedRecord(item, "train", number)
