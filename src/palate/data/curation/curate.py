"""Clean rows out of any: one pass decides about each row, another gives the rows that stay."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palate.data.audit.check import AuditedRecord
from palate.data.curation.account import Account, StepAccount
from palate.data.curation.balance import balanced_by_dropping, balanced_by_weighing
from palate.data.curation.near import NearRows
from palate.data.curation.repeats import Flags, Preferences, repeated, row_name
from palate.data.curation.row_steps import row_steps
from palate.data.curation_options import CurationOptions, refuse_without_effect
from palate.data.excerpts import excerpt
from palate.data.kinds import Record
from palate.data.reading import RecordStream
from palate.errors import DataError
from palate.records import SetAside

__all__ = ["Curation", "curate_records"]

MAX_PLACES = 5
_CONTRADICTS = "another row prefers the other completion of the same prompt"
_OUTVOTED = "as many rows or more prefer the other completion of the same prompt"
_REPEATS = "an earlier row says exactly the same"
_NEARLY_REPEATS = "an earlier row says nearly the same"
_UNBALANCED = "too many pairs differ in length by as much in this direction"


class Curation:
    """Which rows of a source stay, and what every other one went for. Made by `curate_records`."""

    def __init__(self, stream: RecordStream, options: CurationOptions) -> None:
        self._stream, self._options = stream, options
        self._row_steps = list(row_steps(options, stream.kind))
        self._steps = ["read", *(name for name, _ in self._row_steps)]
        self._fates = bytearray()
        """For each row the number of the step that removed it, from 1; 0 where it stays."""
        self._reasons: dict[int, str] = {}
        """Why each step about many rows removes them."""
        self._figures: dict[str, Mapping[str, Any]] = {}
        self._places: dict[int, list[str]] = {}
        self._factors: NDArray[np.float64] | None = None
        self._rows, self._lines = array("q"), array("q")
        self._names, self._differences = array("Q"), array("q")
        self._weights = array("d")
        self._preferences = Preferences()
        self._near = NearRows() if options.near_duplicates else None
        self._look()
        self._compare()
        self.account = self._accounted()
        """What was done, step by step."""

    def __iter__(self) -> Iterator[Record | SetAside]:
        """Each row in the order of the source: the record that stays, or the row set aside and why.

        Raises:
            DataError: the source changed since it was looked at.
        """
        factors = None if self._factors is None else iter(self._factors.tolist())
        number = -1
        for number, item in enumerate(self._stream):
            if number >= len(self._fates) or isinstance(item, SetAside) != (self._fates[number] == 1):
                raise self._changed()
            fate = self._fates[number]
            if isinstance(item, SetAside):
                yield item
            elif fate:
                yield self._set_aside(item, number, fate)
            elif factors is None:
                yield item
            else:
                yield replace(item, weight=item.weight * next(factors))
        if number + 1 != len(self._fates):
            raise self._changed()

    @property
    def test_sets(self) -> tuple[str, ...]:
        """What the rows were held against."""
        return self._options.against

    def kept(self) -> Iterator[Record]:
        """The records that stay."""
        return (item for item in self if not isinstance(item, SetAside))

    def set_aside(self) -> Iterator[SetAside]:
        """The rows that went, with their reasons."""
        return (item for item in self if isinstance(item, SetAside))

    def _changed(self) -> DataError:
        return DataError(
            "the source changed while it was read",
            where=self._stream.source,
            next="ask again once nobody writes into it",
        )

    def _look(self) -> None:
        """What can be said of each row by itself, and what is needed to compare it with others."""
        for number, item in enumerate(self._stream):
            if isinstance(item, SetAside):
                self._remove(1, item.place)
                continue
            record = AuditedRecord(item, "train", number)
            for step, (_, reason_of) in enumerate(self._row_steps, 2):
                if reason_of(record) is not None:
                    self._remove(step, record.place)
                    break
            else:
                self._fates.append(0)
                self._remember(number, record)

    def _remove(self, step: int, place: str) -> None:
        self._fates.append(step)
        self._note(step, place)

    def _note(self, step: int, place: str) -> None:
        places = self._places.setdefault(step, [])
        if len(places) < MAX_PLACES:
            places.append(place)

    def _remember(self, number: int, record: AuditedRecord) -> None:
        self._rows.append(number)
        line = record.record.provenance.line
        self._lines.append(-1 if line is None else line)
        if self._near is not None:
            self._near.see(record)
        if not self._options.keep_duplicates or self._options.balance:
            self._names.append(row_name(record.record))
        if self._options.contradictions != "keep":
            self._preferences.see(len(self._rows) - 1, record)
        if self._options.balance:
            better, worse = (len(text) for text in record.completion_texts)
            self._differences.append(better - worse)
            self._weights.append(record.record.weight)

    def _compare(self) -> None:
        """The steps about many rows. Contradictions come before repeats, whose votes they count."""
        options, left = self._options, np.ones(len(self._rows), np.bool_)
        if options.contradictions == "drop":
            self._drop("contradictions", _CONTRADICTS, left, self._preferences.contradicted(len(left)))
        elif options.contradictions == "keep-majority":
            self._drop("contradictions", _OUTVOTED, left, self._preferences.outvoted(len(left)))
        names = np.array(self._names, np.uint64)
        if not options.keep_duplicates:
            flags = np.zeros(len(left), np.bool_)
            flags[left] = repeated(names[left])
            self._drop("duplicates", _REPEATS, left, flags)
        if self._near is not None:
            flags = self._near.repeated(self._stream, self._rows)
            self._near = None
            self._drop("near_duplicates", _NEARLY_REPEATS, left, flags)
        if options.balance:
            self._balance(left, names)

    def _balance(self, left: Flags, names: NDArray[np.uint64]) -> None:
        differences = np.array(self._differences, np.int64)[left]
        if self._options.balance == "drop":
            balance = balanced_by_dropping(differences, names[left].tolist())
        else:
            balance = balanced_by_weighing(differences, np.array(self._weights)[left])
            self._factors = balance.factors
        flags = np.zeros(len(left), np.bool_)
        flags[left] = balance.dropped
        self._drop("balance", _UNBALANCED, left, flags)
        self._figures["balance"] = balance.as_dict()

    def _drop(self, step: str, reason: str, left: Flags, flags: Flags) -> None:
        self._steps.append(step)
        number = len(self._steps)
        self._reasons[number] = reason
        source = self._stream.source
        for place in np.flatnonzero(left & flags).tolist():
            self._fates[self._rows[place]] = number
            line = self._lines[place]
            self._note(number, source if line < 0 else f"{source}:{line}")
        left &= ~flags

    def _set_aside(self, record: Record, number: int, fate: int) -> SetAside:
        looked_at = AuditedRecord(record, "train", number)
        reason = self._reasons.get(fate)
        if reason is None:
            reason_of: Callable[[AuditedRecord], str | None] = self._row_steps[fate - 2][1]
            reason = reason_of(looked_at)
        if reason is None:
            raise self._changed()
        origin = record.provenance
        step = self._steps[fate - 1]
        return SetAside(origin.source, origin.line, f"{step}: {reason}", excerpt(looked_at.prompt_text))

    def _accounted(self) -> Account:
        num_removed = np.bincount(np.frombuffer(self._fates, np.uint8), minlength=len(self._steps) + 1)
        steps, left = [], len(self._fates)
        for number, step in enumerate(self._steps, 1):
            removed = int(num_removed[number])
            places = tuple(self._places.get(number, ()))
            steps.append(StepAccount(step, left, removed, places, self._figures.get(step, {})))
            left -= removed
        stream = self._stream
        return Account(stream.source, stream.kind, stream.layout, len(self._fates), left, tuple(steps))


def curate_records(stream: RecordStream, options: CurationOptions) -> Curation:
    """Decide about every row of a source.

    Steps: read, sides, length, format, margin, against, contradictions, duplicates,
    near_duplicates, balance. A row is
    removed by the first step that has something against it. The source is read once to decide, and once each
    time the rows are asked for; memory grows by some fifty bytes a row (near
    duplicates: 200 more), not with its texts.

    Raises:
        DataError: as reading the source does; a test set cannot be read; an option means nothing here.
    """
    refuse_without_effect(options, stream.kind, stream.source)
    return Curation(stream, options)
