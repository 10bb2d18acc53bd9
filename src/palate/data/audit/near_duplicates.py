"""Rows and prompts that nearly repeat an earlier one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from palate.data.audit.check import AuditedRecord
from palate.data.audit.draft import Draft
from palate.data.audit.duplicates import row_names
from palate.data.audit.grouping import grouped
from palate.data.audit.index import Numbers, RowIndex
from palate.data.audit.minhash import (
    NUM_BANDS,
    Hashes,
    band_names,
    jaccard,
    shingles,
    signatures,
    template_of,
    without_template,
)

__all__ = ["THRESHOLD", "NearDuplicates"]

THRESHOLD = 0.8
"""The Jaccard similarity of two texts' shingles from which on they are near duplicates."""

_BATCH_CHARACTERS = 500_000


class NearDuplicates:
    """`duplicate_near`, in two passes: signatures of every text, then the texts of those that may be alike.

    A row nearly repeats another where the prompt and every completion, each beside its counterpart, do. Pairs
    of one prompt that share a completion on purpose are therefore none. Two prompts are compared without what
    most prompts have in common: their template does not make them alike. About 130 bytes a row stay in
    memory; in the second pass also a text that is compared with one further on, until then.
    """

    def __init__(self) -> None:
        self._rows = _Bands()
        self._prompts = _Bands(has_template=True)

    def see(self, record: AuditedRecord) -> None:
        """The first pass: every record, in the order of the index."""
        self._prompts.add([record.folded_prompt])
        if record.side == "train":
            self._rows.add(_tagged(record))

    def candidates(self, index: RowIndex) -> Candidates:
        """What has to be seen again; all it needs of the first pass is let go."""
        num_train = len(index.rows("train"))
        distinct = np.zeros(num_train, bool)
        distinct[grouped(row_names(index, "train")).firsts()] = True
        rows = self._rows.pairs(distinct)
        new = np.zeros(len(index.prompt), bool)
        new[grouped(index.prompt).firsts()] = True
        prompts = self._prompts.pairs(new)
        template = self._prompts.template
        self._rows, self._prompts = _Bands(), _Bands()
        return Candidates(rows, prompts, num_train, template)


def _tagged(record: AuditedRecord) -> list[str]:
    """The completions by their side, so that a pair is not like the same pair turned round."""
    return [f"{place}{text}" for place, text in enumerate(record.folded_completions)]


class _Bands:
    """Band names of items in their order, each item one or several texts taken as one set of shingles."""

    def __init__(self, has_template: bool = False) -> None:
        self.template: Hashes = np.zeros(0, np.uint32)
        """What most of the first items share, where they may be made from a template."""
        self._learns_template = has_template
        self._texts: list[str] = []
        self._sizes: list[int] = []
        self._num_characters = 0
        self._done: list[Hashes] = []

    def add(self, texts: list[str]) -> None:
        """The next item."""
        self._texts += texts
        self._sizes.append(len(texts))
        self._num_characters += sum(map(len, texts))
        if self._num_characters >= _BATCH_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if self._sizes:
            hashes, starts = shingles(self._texts)
            if self._learns_template:
                self.template, self._learns_template = template_of(self._texts), False
            hashes, starts = without_template(hashes, starts, self.template)
            firsts = np.cumsum([0, *self._sizes[:-1]])
            self._done.append(band_names(signatures(hashes, starts[firsts])))
        self._texts, self._sizes, self._num_characters = [], [], 0

    def pairs(self, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
        """[pairs, 2]: (earlier, later) items that agree in a band, among those wanted; each pair once.

        In a band an item is paired with the first and with the one before it that agree, not with all: of a
        thousand alike this makes two thousand pairs, and not half a million.
        """
        self._flush()
        items = np.flatnonzero(wanted)
        found = [np.zeros((0, 2), np.int64)]
        for band in range(NUM_BANDS):
            names = np.concatenate([part[:, band] for part in self._done])[items]
            groups = grouped(names)
            first = np.repeat(groups.firsts(), groups.sizes)
            before = np.roll(groups.order, 1)
            is_later = first != groups.order
            later = items[groups.order[is_later]]
            found.extend(
                np.column_stack([items[earlier], later]) for earlier in (first[is_later], before[is_later])
            )
        return np.unique(np.concatenate(found), axis=0)


@dataclass(slots=True)
class Candidates:
    """Pairs of rows to be compared closely in the second pass, and what came of it."""

    rows: NDArray[np.int64]
    prompts: NDArray[np.int64]
    num_train: int
    template: Hashes
    _kept: dict[int, list[Hashes]] = field(default_factory=dict)
    _near_rows: list[tuple[int, int]] = field(default_factory=list)
    _near_prompts: list[tuple[int, int]] = field(default_factory=list)

    def verify(self, records: Iterable[tuple[int, AuditedRecord]]) -> None:
        """Compare the candidates, given their records in the order of the index."""
        rows, prompts = _by_later(self.rows), _by_later(self.prompts)
        last_use: dict[int, int] = {}
        for pairs in (self.rows, self.prompts):
            for earlier, later in pairs.tolist():
                last_use[earlier] = max(later, last_use.get(earlier, 0))
        ends = _by_end(last_use)
        for number, record in records:
            texts = [  # the prompt without its template, the whole prompt, the completions
                *_hash_sets(*without_template(*shingles([record.folded_prompt]), self.template)),
                *_hash_sets(*shingles([record.folded_prompt, *record.folded_completions])),
            ]
            for candidates, near, compared in (
                (rows, self._near_rows, slice(1, None)),
                (prompts, self._near_prompts, slice(0, 1)),
            ):
                for earlier in candidates.get(number, ()):
                    if _are_near(self._kept[earlier][compared], texts[compared]):
                        near.append((number, earlier))
                        break
            for earlier in ends.get(number, ()):
                self._kept.pop(earlier, None)
            if number in last_use:
                self._kept[number] = texts

    @property
    def wanted(self) -> set[int]:
        """The rows to be seen again."""
        return set(self.rows.ravel().tolist()) | set(self.prompts.ravel().tolist())

    @property
    def near_rows(self) -> list[tuple[int, int]]:
        """(row, the earlier row that it nearly repeats), as verified; in the order of the index."""
        return self._near_rows

    @property
    def near_prompts(self) -> list[tuple[int, int]]:
        """As `near_rows`, of prompts."""
        return self._near_prompts

    def drafts(self) -> Iterator[Draft]:
        """What was found."""
        held_out = [pair for pair in self._near_prompts if pair[0] >= self.num_train > pair[1]]
        prompts = [pair for pair in self._near_prompts if pair[0] < self.num_train]
        rows = self._near_rows
        if not rows and not prompts and not held_out:
            return
        said = []
        if rows:
            said.append(f"{_times(rows, 'row')} an earlier row, prompt and completions")
        if prompts:
            said.append(f"{_times(prompts, 'distinct prompt')} an earlier one")
        if held_out:
            said.append(f"{_times(held_out, 'held-out prompt')} one that is trained on")
        yield Draft(
            "duplicate_near",
            "warning" if rows or held_out else "info",
            len(rows) or len(held_out) or len(prompts),
            [*rows, *held_out, *prompts],
            f"{'; '.join(said)} (Jaccard similarity of {THRESHOLD:g} or more, in runs of 5 characters, "
            "without case and punctuation). A split puts such rows on both sides"
            + (", and in training they count nearly double." if rows else "."),
            _remedy(bool(rows)),
            {
                "num_near_rows": len(rows),
                "num_near_prompts": len(prompts),
                "num_near_eval_prompts": len(held_out),
                "threshold": THRESHOLD,
                "num_compared": len(self.rows) + len(self.prompts),
            },
            len(rows) or (0 if held_out else len(prompts)),
        )


def _remedy(has_rows: bool) -> str:
    together = "palate data split FILE -o FOLDER --group-near-duplicates keeps such prompts on one side."
    if not has_rows:
        return f"Look at a few. {together}"
    return f"Look at a few. palate data curate FILE -o OUT --near-duplicates drops such rows; {together}"


def _times(found: list[tuple[int, int]], what: str) -> str:
    return f"{len(found):,} {what}s nearly repeat" if len(found) != 1 else f"1 {what} nearly repeats"


def _by_later(pairs: NDArray[np.int64]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for earlier, later in pairs.tolist():
        found.setdefault(later, []).append(earlier)
    return found


def _by_end(last_use: dict[int, int]) -> dict[int, list[int]]:
    ends: dict[int, list[int]] = {}
    for earlier, later in last_use.items():
        ends.setdefault(later, []).append(earlier)
    return ends


def _hash_sets(hashes: Hashes, starts: Numbers) -> list[Hashes]:
    return [np.unique(part) for part in np.split(hashes, starts[1:])]


def _are_near(one: list[Hashes], other: list[Hashes]) -> bool:
    # The last first: candidates often have the same prompt.
    return len(one) == len(other) and all(
        jaccard(ours, theirs) >= THRESHOLD
        for ours, theirs in zip(reversed(one), reversed(other), strict=True)
    )
