"""Which layout a source has, told from its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from palate.data.layouts import LAYOUTS
from palate.data.rows import RawRow, columns_of, quoted_names
from palate.errors import DataError

__all__ = ["claimed_layout", "detect_layout"]

SAMPLE_ROWS = 1000
"""How many rows are looked at: enough that a few odd ones cannot decide."""
RIVAL_SHARE = 0.1
"""A second layout that claims this share of the first's rows makes the source ambiguous."""


def detect_layout(rows: Sequence[RawRow], source: str) -> str:
    """The name of the one layout that claims the rows.

    Raises:
        DataError: no layout claims any row, or several claim them.
    """
    name = claimed_layout(rows, source)
    if name is not None:
        return name
    problems = [f"{source}:{row.line}: {row.problem}" for row in rows if row.problem]
    if len(problems) == len(rows):
        raise DataError("no row can be read", where=source, why=f"the first: {problems[0]}")
    raise DataError(
        "the layout of these rows is unknown",
        where=source,
        why=f"columns seen: {quoted_names(columns_of(rows[:SAMPLE_ROWS]))}\n{_known(LAYOUTS)}",
        next="rename the columns to those of a layout, or name the layout (data.train.layout, or --layout) "
        "to see what is wrong with each row",
    )


def claimed_layout(rows: Sequence[RawRow], source: str) -> str | None:
    """As `detect_layout`, but None where no layout claims any row."""
    votes: Counter[str] = Counter()
    for row in rows[:SAMPLE_ROWS]:
        votes.update(name for name, layout in LAYOUTS.items() if layout.claims(row.fields))
    for name, layout in LAYOUTS.items():
        found = [covered for covered in {name, *layout.covers} if votes[covered]]
        if layout.covers and len(found) > 1:
            votes[name] = sum(votes.pop(covered) for covered in found)
    if not votes:
        return None
    (first, most), *others = votes.most_common()
    rivals = [name for name, count in others if count >= RIVAL_SHARE * most]
    if rivals:
        raise DataError(
            f"the rows can be read as several layouts: {', '.join([first, *rivals])}",
            where=source,
            why=f"columns seen: {quoted_names(columns_of(rows[:SAMPLE_ROWS]))}\n{_known([first, *rivals])}",
            next=f"say which one is meant: data.train.layout={first}, or --layout {first}",
        )
    return first


def _known(names: Iterable[str]) -> str:
    return "\n".join(f"        {name}: {LAYOUTS[name].columns}" for name in names)
