"""Rows that contradict or repeat others, from some numbers a row."""

from __future__ import annotations

from array import array
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from palate.data.audit.check import AuditedRecord
from palate.data.kinds import Record
from palate.records import Labelled, Ranking

__all__ = ["Preferences", "repeated", "row_name"]

Flags = NDArray[np.bool_]
_MASK = (1 << 64) - 1


def row_name(record: Record) -> int:
    """A 64-bit name of all a row says: prompt, completions in their order, label."""
    return int(record.id, 16)


def repeated(names: NDArray[np.uint64]) -> Flags:
    """Which rows have the name of an earlier one."""
    _, first = np.unique(names, return_index=True)
    flags = np.ones(len(names), np.bool_)
    flags[first] = False
    return flags


class Preferences:
    """What each row says of two completions, or of one and its label: 17 bytes each."""

    def __init__(self) -> None:
        self._row, self._question, self._answer = array("q"), array("Q"), array("b")

    def see(self, row: int, record: AuditedRecord) -> None:
        """Take in what a row says. Tied completions of a ranking say nothing about each other."""
        said, keys = record.record, record.completion_keys
        if isinstance(said, Labelled):
            self._add(row, record.asked_key, keys[0], 0, said.desirable)
            return
        scores = said.scores if isinstance(said, Ranking) else None
        for better, worse in combinations(range(len(keys)), 2):
            if scores is None or scores[better] != scores[worse]:
                low, high = sorted((keys[better], keys[worse]))
                self._add(row, record.asked_key, low, high, keys[better] == low)

    def _add(self, row: int, asked: int, low: int, high: int, answer: bool) -> None:
        self._row.append(row)
        # Odd factors, so that the three do not cancel: a name as good as the hashes it is made from.
        self._question.append((asked * 3 ^ low * 0x9E3779B97F4A7C15 ^ high * 0xC2B2AE3D27D4EB4F) & _MASK)
        self._answer.append(answer)

    def contradicted(self, num_rows: int) -> Flags:
        """Which rows say what another row says the other way round."""
        yes, no = self._votes()
        return self._rows_where((yes > 0) & (no > 0), num_rows)

    def outvoted(self, num_rows: int) -> Flags:
        """Which rows are in a contradiction and not with its majority; where votes are equal, all of them."""
        yes, no = self._votes()
        is_yes = np.array(self._answer, np.bool_)
        mine, others = np.where(is_yes, yes, no), np.where(is_yes, no, yes)
        return self._rows_where((others > 0) & (mine <= others), num_rows)

    def _votes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each thing said: how many say yes to its question and how many no."""
        questions, place = np.unique(np.array(self._question, np.uint64), return_inverse=True)
        is_yes = np.array(self._answer, np.bool_)
        yes = np.bincount(place[is_yes], minlength=len(questions))
        no = np.bincount(place[~is_yes], minlength=len(questions))
        return yes[place], no[place]

    def _rows_where(self, found: Flags, num_rows: int) -> Flags:
        flags = np.zeros(num_rows, np.bool_)
        flags[np.array(self._row, np.int64)[found]] = True
        return flags
