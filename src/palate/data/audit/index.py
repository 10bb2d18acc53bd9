"""What stays of every record after it went by: some numbers a row, for checks that compare rows.

A million pairs take about 80 MB. Texts are named by 64-bit hashes: among the three million texts of a million
pairs the chance that any two different ones share a name is 1 in four million.
"""

from __future__ import annotations

from array import array
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from palate.data.audit.check import AuditedRecord, Side
from palate.data.kinds import Kind, kind_of
from palate.records import Labelled, Ranking

__all__ = ["Edges", "RowIndex", "mixed"]

Keys = NDArray[np.uint64]
Numbers = NDArray[np.int64]


def mixed(*columns: NDArray) -> Keys:
    """One 64-bit name for each row of several columns."""
    name = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        name = (name ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        name ^= name >> np.uint64(29)
        name *= np.uint64(0xBF58476D1CE4E5B9)
        name ^= name >> np.uint64(32)
    return name


class Edges:
    """Preferences, one a row: which completion is better than which, for which prompt.

    `row` is the index's number of the record that says so; all columns are equally long.
    """

    def __init__(self, row: Numbers, better: Numbers, worse: Numbers, index: RowIndex) -> None:
        self.row, self._better, self._worse = row, better, worse
        self.asked: Keys = index.asked[row]
        self.better: Keys = index.completions[better]
        self.worse: Keys = index.completions[worse]
        self.better_characters: Numbers = index.characters[better].astype(np.int64)
        self.worse_characters: Numbers = index.characters[worse].astype(np.int64)

    def __len__(self) -> int:
        return len(self.row)


class RowIndex:
    """Every record of both sides as numbers. Rows are numbered from 0, those to train on first."""

    def __init__(self) -> None:
        self.sources: dict[Side, str] = {}
        self._kinds: dict[Side, Kind] = {}
        self._num: dict[Side, int] = {"train": 0, "eval": 0}
        self._line = array("q")
        self._asked, self._prompt, self._completions = array("Q"), array("Q"), array("Q")
        self._start, self._characters = array("q", [0]), array("I")
        self._desirable = array("b")
        self._tiers: dict[int, tuple[float, ...]] = {}

    def see(self, record: AuditedRecord) -> None:
        """Take a record in. All of one side come before all of the other, those to train on first."""
        origin, said = record.record.provenance, record.record
        if record.side not in self._kinds:
            self.sources[record.side], self._kinds[record.side] = origin.source, kind_of(said)
        self._num[record.side] += 1
        self._line.append(-1 if origin.line is None else origin.line)
        self._asked.append(record.asked_key)
        self._prompt.append(record.folded_prompt_key)
        self._completions.extend(record.completion_keys)
        self._characters.extend(map(len, record.completion_texts))
        if isinstance(said, Labelled):
            self._desirable.append(said.desirable)
        if isinstance(said, Ranking) and said.scores is not None:
            self._tiers[len(self._line) - 1] = said.scores
        self._start.append(len(self._completions))

    def kind(self, side: Side) -> Kind | None:
        """What the records of a side are; None where it has none."""
        return self._kinds.get(side)

    def rows(self, side: Side) -> Numbers:
        """The numbers of a side's rows."""
        num_train = self._num["train"]
        if side == "train":
            return np.arange(num_train)
        return np.arange(num_train, num_train + self._num["eval"])

    def place(self, row: int) -> str:
        """`file:line`."""
        source = self.sources["train" if row < self._num["train"] else "eval"]
        return source if self._line[row] < 0 else f"{source}:{self._line[row]}"

    @cached_property
    def asked(self) -> Keys:
        """Of each row: the name of its whole prompt."""
        return np.array(self._asked, np.uint64)

    @cached_property
    def prompt(self) -> Keys:
        """Of each row: the name of its prompt as `folded`, without a system message."""
        return np.array(self._prompt, np.uint64)

    @cached_property
    def start(self) -> Numbers:
        """Where each row's completions start, and at last where they end."""
        return np.array(self._start, np.int64)

    @cached_property
    def completions(self) -> Keys:
        """Of each completion of each row: its name."""
        return np.array(self._completions, np.uint64)

    @cached_property
    def characters(self) -> Numbers:
        """Of each completion of each row: how long it is."""
        return np.array(self._characters, np.int64)

    def desirable(self, side: Side) -> NDArray[np.bool_]:
        """Of each row of a side that has labels: whether its completion is desirable."""
        values = np.array(self._desirable, bool)
        num = self._num[side]
        return values[:num] if side == "train" else values[len(values) - num :]

    def edges(self, side: Side) -> Edges:
        """Every preference a side states: a pair's one, a ranking's between all that do not tie."""
        rows = self.rows(side)
        if self.kind(side) not in ("pairs", "rankings"):
            none = np.zeros(0, np.int64)
            return Edges(none, none, none, self)
        starts, lengths = self.start[rows], np.diff(self.start)[rows]
        of, better, worse = [], [], []
        for length in np.unique(lengths).tolist():
            first, second = np.triu_indices(length, 1)
            same = lengths == length
            of.append(np.repeat(rows[same], len(first)))
            better.append((starts[same][:, None] + first).ravel())
            worse.append((starts[same][:, None] + second).ravel())
        row, up, down = (np.concatenate(parts) for parts in (of, better, worse))
        order = np.argsort(row, kind="stable")
        row, up, down = row[order], up[order], down[order]
        tied = self._tied(row, up, down)
        return Edges(row[~tied], up[~tied], down[~tied], self)

    def _tied(self, row: Numbers, up: Numbers, down: Numbers) -> NDArray[np.bool_]:
        tied = np.zeros(len(row), bool)
        if not self._tiers:
            return tied
        scores = np.arange(len(self.completions), 0, -1, dtype=np.float64)
        for number, values in self._tiers.items():
            scores[self.start[number] : self.start[number + 1]] = values
        return scores[up] == scores[down]
