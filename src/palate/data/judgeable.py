"""Whatever can be judged: comparisons as they are, and preference data with its choices hidden."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from palate.data.comparisons import COMPARISON_COLUMNS, read_comparisons
from palate.data.kinds import records_as
from palate.data.reading import read_records
from palate.data.rows import columns_of
from palate.data.sources import open_rows
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import Comparison, Messages, Pair, SetAside, Vote, content_id

__all__ = ["Judgeable", "blind", "read_judgeable"]

# How a pair says who wrote which of its sides, where its maker knew.
_STRONG_WEAK = {"chosen": "strong", "rejected": "weak"}


@dataclass(frozen=True, slots=True)
class Judgeable:
    """What a source gave to be judged."""

    comparisons: tuple[Comparison, ...]
    """No two have the same content."""
    votes: tuple[Vote, ...]
    """The data's own choices, where it has some: one for each pair."""
    set_aside: tuple[SetAside, ...]
    num_repeated: int
    """Comparisons left out because an earlier one has the same content."""
    source: str
    layout: str
    """`comparisons`, or the layout of the preference data."""


def read_judgeable(source: str) -> Judgeable:
    """The comparisons of a source, or those that its pairs become when nobody is told which is chosen.

    Preference data may have any layout with a chosen and a rejected side, or rankings, which become pairs.

    Raises:
        DataError: the source cannot be read, or holds nothing to compare.
    """
    options = SourceOptions(source=source)
    columns = columns_of(list(islice(open_rows(options), 100)))
    if all(name in columns for name in COMPARISON_COLUMNS):
        comparisons, set_aside = read_comparisons(source)
        votes: tuple[Vote, ...] = ()
        layout = "comparisons"
    else:
        found = read_records(options)
        comparisons, votes = blind(records_as(found.records, "pairs", where=source), annotator=source)
        set_aside, layout = found.set_aside, found.layout
    distinct = {comparison.id: comparison for comparison in reversed(comparisons)}
    ordered = tuple(c for c in comparisons if distinct.get(c.id) is c)
    if not ordered:
        first = f"the first: {set_aside[0].place}: {set_aside[0].reason}" if set_aside else ""
        raise DataError("there is nothing to compare", where=source, why=first)
    return Judgeable(ordered, votes, set_aside, len(comparisons) - len(ordered), source, layout)


def blind(pairs: Iterable[Pair], *, annotator: str) -> tuple[tuple[Comparison, ...], tuple[Vote, ...]]:
    """A comparison for each pair, and the pair's choice as a vote on it, in the order of the pairs.

    Which side is `a` follows from the texts' hash, so that it says nothing of which was chosen. What a pair's
    detail says of a side goes with the side.
    """
    votes = tuple(_vote(pair, annotator) for pair in pairs)
    return tuple(vote.comparison for vote in votes), votes


def _vote(pair: Pair, annotator: str) -> Vote:
    chosen_first = _place(pair.prompt, pair.chosen) <= _place(pair.prompt, pair.rejected)
    preferred: Literal["a", "b"] = "a" if chosen_first else "b"
    a, b = (pair.chosen, pair.rejected) if chosen_first else (pair.rejected, pair.chosen)
    origin = pair.provenance
    sides = ("chosen", "rejected") if chosen_first else ("rejected", "chosen")
    detail = _detail(origin.detail, dict(zip(sides, ("a", "b"), strict=True)))
    comparison = Comparison(pair.prompt, a, b, replace(origin, detail=detail))
    return Vote(comparison, annotator, preferred, detail={"source": origin.source, "line": origin.line})


def _place(prompt: Messages, completion: Messages) -> str:
    return content_id(prompt, completion)


def _detail(detail: Mapping[str, Any], side_of: Mapping[str, str]) -> dict[str, Any]:
    """The detail by the sides' new names: `chosen_generator` becomes the model of `a`, or of `b`."""
    sides: dict[str, dict[str, Any]] = {"a": {}, "b": {}}
    rest: dict[str, Any] = {}
    for name, value in detail.items():
        role, underline, what = name.partition("_")
        if underline and role in side_of:
            sides[side_of[role]]["model" if what == "generator" else what] = value
        elif name not in ("a", "b", *_STRONG_WEAK.values()):
            rest[name] = value
    for role, name in _STRONG_WEAK.items():
        if isinstance(known := detail.get(name), Mapping):
            sides[side_of[role]] |= known
    return rest | {side: said for side, said in sides.items() if said}
