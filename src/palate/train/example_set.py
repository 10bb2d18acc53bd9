"""The examples of a set of records, and what became of the others."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from palate.data import Record
from palate.engine import Renderer
from palate.recipe import DataOptions
from palate.records import SetAside
from palate.train.examples import Examples
from palate.train.fitting import completions_of, encode_batch
from palate.train.token_table import Encoded, TableWriter, TokenTable, table_in_memory

__all__ = ["Asides", "ExampleSet", "encode_records", "write_records"]

IntArray = npt.NDArray[np.int64]
# Records that are tokenised in one call.
_BATCH = 256
_NO_PAIR = "no two of its completions differ as far as the rule for pairs asks"


class Asides(Sequence[SetAside]):
    """Rows set aside, with their reasons; a `SetAside` is made on access."""

    def __init__(self, lines: IntArray, sources: Sequence[str], reasons: Sequence[str]) -> None:
        self._lines, self._sources, self._reasons = lines, sources, reasons

    @classmethod
    def of(cls, rows: npt.NDArray[Any], table: TokenTable) -> Asides:
        """Those of a table, from columns `line`, `source` and `reason`."""
        lines = np.stack([rows[name].astype(np.int64) for name in ("line", "source", "reason")], axis=1)
        return cls(lines, table.sources, table.reasons)

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, which: int) -> SetAside: ...
    @overload
    def __getitem__(self, which: slice) -> Asides: ...
    def __getitem__(self, which: int | slice) -> SetAside | Asides:
        if isinstance(which, slice):
            return Asides(self._lines[which], self._sources, self._reasons)
        line, source, reason = (int(value) for value in self._lines[which])
        return SetAside(self._sources[source], line if line >= 0 else None, self._reasons[reason])

    def __add__(self, others: Asides) -> Asides:
        """Both; they are of one table."""
        reasons = list(dict.fromkeys((*self._reasons, *others._reasons)))
        lines = others._lines.copy()
        numbers = {reason: number for number, reason in enumerate(reasons)}
        lines[:, 2] = np.array([numbers[reason] for reason in others._reasons], np.int64)[lines[:, 2]]
        return Asides(np.concatenate([self._lines, lines]), self._sources, reasons)

    def because(self, reason: str) -> Asides:
        """The same rows for another reason."""
        lines = self._lines.copy()
        lines[:, 2] = 0
        return Asides(lines, self._sources, [reason])

    @property
    def num_rows(self) -> int:
        """How many different rows: a ranking of five is one, and ten pairs."""
        return len(np.unique(self._lines[:, :2], axis=0))

    def by_reason(self) -> Iterator[tuple[str, int, list[str]]]:
        """Each reason, how often it stands there, and the first five places; the most frequent first."""
        found, first, counts = np.unique(self._lines[:, 2], return_index=True, return_counts=True)
        for i in np.lexsort((first, -counts)):
            places = np.flatnonzero(self._lines[:, 2] == found[i])[:5]
            yield self._reasons[found[i]], int(counts[i]), [self[int(place)].place for place in places]


class ExampleSet:
    """The examples among some entries of a table, and an account of the other entries.

    entries: which of the table's, in order.
    """

    def __init__(self, table: TokenTable, entries: IntArray) -> None:
        self.table = table
        used = table.entries["num_branches"][entries] > 0
        self.examples = Examples(table, entries[used])
        self.set_aside = Asides.of(table.entries[entries[~used]], table)
        self.num_too_long = int(table.entries["is_too_long"][entries].sum())
        self.num_truncated = int(table.entries["is_truncated"][entries].sum())
        self.num_boundary_merges = int(table.entries["num_merges"][entries].sum())

    def __len__(self) -> int:
        return len(self.examples)

    def set_aside_prompts(self, prompts: npt.NDArray[np.uint64], reason: str) -> None:
        """Set aside the examples of these prompts (`Examples.column("prompt")`)."""
        gone = np.isin(self.examples.column("prompt"), prompts)
        places = self.examples.places[gone]
        self.set_aside += Asides.of(self.table.entries[places], self.table).because(reason)
        self.examples = self.examples.take(np.flatnonzero(~gone))


def encode_records(records: Iterable[Record], renderer: Renderer, options: DataOptions) -> ExampleSet:
    """Write records out as tokens, within `options.max_length`, in memory.

    Raises:
        DataError: a record is too long and `options.too_long` is `error`.
    """
    tokens, texts = io.BytesIO(), io.BytesIO()
    writer = TableWriter(tokens, texts)
    write_records(writer, ((record, (record,)) for record in records), renderer, options)
    table = table_in_memory(writer, tokens, texts)
    return ExampleSet(table, np.arange(len(table.entries)))


def write_records(
    writer: TableWriter,
    rows: Iterable[tuple[Record, Sequence[Record]] | SetAside],
    renderer: Renderer,
    options: DataOptions,
) -> None:
    """Write rows into a table: each is a record with those it becomes, or is set aside.

    Raises:
        DataError: a record is too long and `options.too_long` is `error`.
    """
    waiting: list[Record] = []

    def write() -> None:
        for record, found in zip(waiting, encode_batch(waiting, renderer, options), strict=True):
            writer.add(record, found, completions_of(record)[0])
        waiting.clear()

    for row in rows:
        if isinstance(row, SetAside):
            writer.set_aside(row)
            continue
        writer.num_rows += 1
        record, made = row
        waiting += made
        if len(waiting) >= _BATCH or not made:
            write()
        if not made:
            writer.add(record, Encoded(reason=_NO_PAIR), completions_of(record)[0])
    write()
