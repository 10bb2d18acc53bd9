"""Rows to train on and rows to measure with, nothing of one group on two sides; in files, row by row."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from palate.data.audit.check import AuditedRecord
from palate.data.audit.index import mixed
from palate.data.curation.near import NearRows
from palate.data.curation_options import SplitOptions
from palate.data.excerpts import excerpt
from palate.data.kinds import Record
from palate.data.reading import RecordStream
from palate.data.rows import quoted_names
from palate.errors import DataError, did_you_mean
from palate.records import SetAside, content_id

__all__ = ["Split", "SplitName", "split_source"]

SplitName = Literal["train", "eval", "test"]
_SIDES: tuple[SplitName, ...] = ("train", "eval", "test")
_NO_SIDE = 255


@dataclass(frozen=True, slots=True)
class Split:
    """Which side each row of a source is on. Made by `split_source`."""

    stream: RecordStream
    options: SplitOptions
    sides: NDArray[np.uint8]
    """For each row of the source: the place of its side in train, eval, test; 255 where it was set aside."""
    num_groups: int
    largest_group: int
    """How many rows the largest group has."""
    num_groups_too_large: int
    """Groups with more rows than a held-out side was asked to have: they can only be trained on."""

    def records(self, side: SplitName) -> Iterator[Record]:
        """The records of a side, in the order of the source.

        Raises:
            DataError: the source changed since it was looked at.
        """
        wanted, number = _SIDES.index(side), -1
        for number, item in enumerate(self.stream):
            is_aside = isinstance(item, SetAside)
            if number >= len(self.sides) or is_aside != (self.sides[number] == _NO_SIDE):
                raise self._changed()
            if self.sides[number] == wanted and not isinstance(item, SetAside):
                yield item
        if number + 1 != len(self.sides):
            raise self._changed()

    def num_records(self, side: SplitName) -> int:
        """How many records a side has."""
        return int((self.sides == _SIDES.index(side)).sum())

    @property
    def names(self) -> tuple[SplitName, ...]:
        """The sides that were asked for."""
        shares = (1.0, self.options.eval_fraction, self.options.test_fraction)
        return tuple(side for side, share in zip(_SIDES, shares, strict=True) if share)

    def as_dict(self) -> dict[str, Any]:
        """For JSON. `num_rows` = the records of all sides + `num_set_aside`."""
        return {
            "source": self.stream.source,
            "kind": self.stream.kind,
            "layout": self.stream.layout,
            "num_rows": len(self.sides),
            "num_set_aside": int((self.sides == _NO_SIDE).sum()),
            "num_records": {side: self.num_records(side) for side in self.names},
            "num_groups": self.num_groups,
            "largest_group": self.largest_group,
            "num_groups_too_large": self.num_groups_too_large,
        }

    def _changed(self) -> DataError:
        return DataError("the source changed while it was read", where=self.stream.source)


def split_source(stream: RecordStream, options: SplitOptions) -> Split:
    """Decide on which side each row of a source is.

    Rows with one prompt stay together, also in other case, spaces or punctuation or under another system
    message. Groups are taken in the order of a hash of what they ask, so that no seed and no order of rows
    has a say: first for test, then for eval, each as long as that brings the side nearer to its share, and at
    least one each; a group too large is passed over. The source is read once, with near duplicates twice;
    memory grows by some tens of bytes a row, and with near duplicates by some 150.

    Raises:
        DataError: the source cannot be read, has fewer groups than sides, or no row has the key.
    """
    groups = _Groups(stream, options)
    group_of, names = groups.joined()
    sizes = np.bincount(group_of)
    num_sides = 1 + (options.eval_fraction > 0) + (options.test_fraction > 0)
    if len(sizes) < num_sides:
        raise DataError(
            f"{len(sizes)} {'group' if len(sizes) == 1 else 'groups'} cannot be on {num_sides} sides",
            where=stream.source,
            why="all rows that share a prompt, or what else was asked for, stay together",
            next="add data, or group by less",
        )
    order = np.lexsort((names, mixed(names)))
    side_of = np.zeros(len(sizes), np.uint8)
    targets = {2: options.test_fraction * len(group_of), 1: options.eval_fraction * len(group_of)}
    targets = {side: target for side, target in targets.items() if target}
    for place, (side, target) in enumerate(targets.items()):
        # What comes after needs a group each, and training one.
        free = order[side_of[order] == 0]
        side_of[_filled(free, sizes, target, most=len(free) - (len(targets) - place))] = side
    sides = np.full(groups.num_rows, _NO_SIDE, np.uint8)
    sides[np.array(groups.rows, np.int64)] = side_of[group_of]
    too_large = int((sizes > min(targets.values())).sum())
    return Split(stream, options, sides, len(sizes), int(sizes.max()), too_large)


def _filled(free: NDArray[np.int64], sizes: NDArray[np.int64], target: float, most: int) -> list[int]:
    """Groups that together have about `target` rows; the smallest one where every group has far more."""
    taken: list[int] = []
    num = 0
    for group in free.tolist():
        if len(taken) < most and num + sizes[group] / 2 <= target:
            taken.append(group)
            num += int(sizes[group])
    return taken or [int(free[np.argmin(sizes[free])])]


class _Groups:
    """Which rows stay together: nodes are prompts, keys and completions, and each row ties some of them."""

    def __init__(self, stream: RecordStream, options: SplitOptions) -> None:
        self.rows = array("q")
        self.num_rows = 0
        self._stream, self._options = stream, options
        self._prompts, self._tied, self._tied_row = array("Q"), array("Q"), array("q")
        self._near = NearRows() if options.group_near_duplicates else None
        self._seen_keys: dict[str, None] = {}
        self._has_key = options.group_by == "prompt"
        for self.num_rows, item in enumerate(stream, 1):
            if not isinstance(item, SetAside):
                self._see(AuditedRecord(item, "train", len(self.rows)))
        if not self.rows:
            raise DataError("no row could be used", where=stream.source, next="palate data inspect says why")
        if not self._has_key:
            raise self._no_such_key()

    def _see(self, record: AuditedRecord) -> None:
        number = len(self.rows)
        self.rows.append(self.num_rows - 1)
        self._prompts.append(record.folded_prompt_key)
        detail = record.record.provenance.detail
        if self._options.group_by != "prompt":
            self._tie_key(number, detail)
        if self._options.group_by_completion:
            for text in record.folded_completions:
                self._tie(number, int(content_id("completion", text), 16))
        if self._near is not None:
            self._near.see(record)

    def _tie_key(self, number: int, detail: Mapping[str, Any]) -> None:
        key = self._options.group_by
        if detail.get(key) is not None:
            self._has_key = True
            self._tie(number, int(content_id("key", str(detail[key])), 16))
        elif not self._has_key:
            self._seen_keys.update(dict.fromkeys(map(str, detail)))

    def _tie(self, number: int, name: int) -> None:
        self._tied_row.append(number)
        self._tied.append(name)

    def joined(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """The group of each record, and for each group a name that no order of rows changes."""
        prompts, prompt_of = np.unique(np.array(self._prompts, np.uint64), return_inverse=True)
        tied, tied_of = np.unique(np.array(self._tied, np.uint64), return_inverse=True)
        ends = [(prompt_of[np.array(self._tied_row, np.int64)], tied_of + len(prompts))]
        if self._near is not None:
            pairs = np.array(self._near.like_prompts(self._stream, self.rows), np.int64).reshape(-1, 2)
            ends.append((prompt_of[pairs[:, 0]], prompt_of[pairs[:, 1]]))
        one, other = (np.concatenate(side) for side in zip(*ends, strict=True))
        num = len(prompts) + len(tied)
        graph = coo_array((np.ones(len(one), np.bool_), (one, other)), shape=(num, num))
        _, component = connected_components(graph, directed=False)
        used, group_of = np.unique(component[prompt_of], return_inverse=True)
        names = np.full(num, np.iinfo(np.uint64).max)
        np.minimum.at(names, component[: len(prompts)], prompts)
        return group_of, names[used]

    def _no_such_key(self) -> DataError:
        key, known = self._options.group_by, list(self._seen_keys)
        return DataError(
            f'--group-by "{excerpt(key)}": no row has this in its provenance.{did_you_mean(key, known)}',
            where=self._stream.source,
            why=f"what rows have there: {quoted_names(known)}",
            next="group by prompt, or by one of these",
        )
