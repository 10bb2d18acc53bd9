"""Rows that say exactly what an earlier row said."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from palate.data.audit.check import Side
from palate.data.audit.draft import Draft
from palate.data.audit.finding import MAX_EXAMPLES
from palate.data.audit.grouping import grouped
from palate.data.audit.index import Keys, RowIndex, mixed
from palate.data.audit.set_aside import rows

__all__ = ["duplicate_rows", "row_names"]


def row_names(index: RowIndex, side: Side) -> Keys:
    """One name for all that a row says: its whole prompt, its completions in their order, its label."""
    rows = index.rows(side)
    starts, lengths = index.start[rows], np.diff(index.start)[rows]
    names = index.asked[rows].copy()
    for length in np.unique(lengths).tolist():
        same = lengths == length
        said = [index.completions[starts[same] + place] for place in range(length)]
        names[same] = mixed(names[same], *said)
    return mixed(names, index.desirable(side)) if index.kind(side) == "labels" else names


def duplicate_rows(index: RowIndex) -> Iterator[Draft]:
    """Rows that repeat an earlier one; the earlier one is not counted."""
    names = row_names(index, "train")
    groups = grouped(names)
    sizes, firsts = groups.sizes, groups.firsts()
    repeated = np.flatnonzero(sizes > 1)
    if not len(repeated):
        return
    repeated = repeated[np.argsort(firsts[repeated])]
    num = int((sizes[repeated] - 1).sum())
    largest = int(sizes.max())
    examples = [
        (int(members[1]), int(members[0]))
        for members in (groups.members(int(group)) for group in repeated[:MAX_EXAMPLES])
    ]
    yield Draft(
        "duplicate_exact",
        "warning",
        num,
        examples,
        f"{rows(num)} ({num / len(names):.1%}) {'says' if num == 1 else 'say'} exactly what an earlier row "
        f"says; one row is there {largest:,} times. Each copy counts once more in training, and a split by "
        "rows puts copies on both sides.",
        "Drop them: palate data curate FILE -o OUT. Where a repeat is meant as a weight, say so in a weight "
        "column (data.train.weight_column).",
        {"num_distinct": len(names) - num, "largest_group": largest, "share": num / len(names)},
        num,
    )
