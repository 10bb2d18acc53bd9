"""Which layout a source has, told from its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from palate.data.columns import mapped_fields, refuse_unknown_columns
from palate.data.layouts import LAYOUTS
from palate.data.messages import is_transcript
from palate.data.rows import RawRow, columns_of, quoted_names
from palate.errors import DataError
from palate.recipe import SourceOptions

__all__ = ["claimed_layout", "detect_layout", "layout_of"]

SAMPLE_ROWS = 1000
"""How many rows are looked at: enough that a few odd ones cannot decide."""
RIVAL_SHARE = 0.1
"""A second layout that claims this share of the first's rows makes the source ambiguous."""


def layout_of(rows: Sequence[RawRow], options: SourceOptions) -> str:
    """The layout that the options name, or the one that the first rows have.

    Where the options name columns, it is the one of rows with these alone: `mixed`, say, or `labels`.

    Raises:
        DataError: as `detect_layout`; or a column that is named is in none of the rows.
    """
    if options.columns is None:
        return options.layout if options.layout != "auto" else detect_layout(rows, options.source)
    refuse_unknown_columns(rows, options)
    mapped = [replace(row, fields=mapped_fields(row.fields, options.columns)) for row in rows[:SAMPLE_ROWS]]
    name = claimed_layout(mapped, options.source)
    if name is None and not any(is_transcript(row.fields.get("prompt")) for row in mapped):
        # The columns say what the rows are: what is wrong with each then stands beside it.
        name = {"labels": "labels", "rankings": "ranking"}.get(options.columns.kind)
        name = name or ("mixed" if options.columns.prompt else None)
    return name or detect_layout(mapped, options.source)


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
        next="say which column holds what (data.train.columns, or --columns prompt=a,chosen=b,rejected=c), "
        "or name the layout (data.train.layout, or --layout) to see what is wrong with each row",
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
