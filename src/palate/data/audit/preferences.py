"""Preferences that cannot all be true: A over B and B over A, and A over B over C over A."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from palate.data.audit.draft import Draft
from palate.data.audit.finding import MAX_EXAMPLES
from palate.data.audit.grouping import grouped
from palate.data.audit.index import RowIndex, mixed
from palate.data.audit.set_aside import rows as counted
from palate.statistics.triads import Triads, count_triads

__all__ = ["circular_triads", "contradictory_pairs"]

_JUDGE_AGAIN = (
    "Judge these again, or let the rows decide: palate data curate FILE -o OUT drops both sides of each, "
    "with --contradictions keep-majority only the fewer."
)


def contradictory_pairs(index: RowIndex) -> Iterator[Draft]:
    """Completions of one prompt that rows order both ways, or labels that call one both good and bad."""
    if index.kind("train") == "labels":
        rows = index.rows("train")
        name = mixed(index.asked[rows], index.completions[index.start[rows]])
        says = index.desirable("train")
        what = "completions are called both desirable and undesirable"
        what_one = "completion is called both desirable and undesirable"
    else:
        edges = index.edges("train")
        if not len(edges):
            return
        rows, says = edges.row, edges.better < edges.worse
        low, high = np.minimum(edges.better, edges.worse), np.maximum(edges.better, edges.worse)
        name = mixed(edges.asked, low, high)
        what = "pairs of completions are ordered both ways"
        what_one = "pair of completions is ordered both ways"
    groups = grouped(name)
    num_yes, sizes = groups.sums(says), groups.sizes
    both = np.flatnonzero((num_yes > 0) & (num_yes < sizes))
    if not len(both):
        return
    both = both[np.argsort(groups.firsts()[both])]
    examples = []
    for group in both[:MAX_EXAMPLES]:
        members = groups.members(int(group))
        first = members[0]
        other = members[says[members] != says[first]][0]
        examples.append((int(rows[first]), int(rows[other])))
    involved = np.unique(rows[np.concatenate([groups.members(int(group)) for group in both])])
    yield Draft(
        "contradictory_pair",
        "warning",
        len(both),
        examples,
        f"{len(both):,} {what if len(both) > 1 else what_one} for the same prompt, in "
        f"{counted(len(involved))}. What one row teaches, the other takes back.",
        _JUDGE_AGAIN,
        {
            "num_rows": len(involved),
            "num_prompts": len(np.unique(index.asked[involved])),
            "share_of_rows": len(involved) / len(index.rows("train")),
        },
        len(both),
    )


def circular_triads(index: RowIndex) -> Iterator[Draft]:
    """Triples of completions of one prompt whose preferences go round.

    Where rows disagree about two completions the majority decides; where they are even nothing does.
    """
    edges = index.edges("train")
    if len(edges) < 3:
        return
    up = edges.better < edges.worse
    low, high = np.minimum(edges.better, edges.worse), np.maximum(edges.better, edges.worse)
    compared = grouped(mixed(edges.asked, low, high))
    balance = 2 * compared.sums(up) - compared.sizes
    decided, first = balance != 0, compared.firsts()
    first, won = first[decided], balance[decided] > 0
    if not len(first):
        return
    better, worse = np.where(won, low[first], high[first]), np.where(won, high[first], low[first])
    prompts = grouped(edges.asked[first])
    found: list[Triads] = []
    examples: list[tuple[int, ...]] = []
    for group in np.flatnonzero(prompts.sizes >= 3).tolist():
        members = prompts.members(group)
        triads = count_triads(list(zip(better[members].tolist(), worse[members].tolist(), strict=True)))
        found.append(triads)
        if triads.example is not None:
            examples.append(tuple(int(edges.row[first[members[place]]]) for place in triads.example))
    yield from _drafted(found, sorted(examples))


def _drafted(found: list[Triads], examples: list[tuple[int, ...]]) -> Iterator[Draft]:
    num_circular = sum(triads.num_circular for triads in found)
    if not num_circular:
        return
    num_triads = sum(triads.num_triads for triads in found)
    complete = [triads.consistency for triads in found if triads.consistency is not None]
    consistency = sum(complete) / len(complete) if complete else None
    yield Draft(
        "circular_triad",
        "warning",
        num_circular,
        examples,
        f"{num_circular:,} of {num_triads:,} triads ({num_circular / num_triads:.1%}) go round: A is better "
        f"than B, B than C, and C than A, in {len(examples):,} of the {len(found):,} prompts with three "
        "comparisons or more. No order of the completions agrees with all three rows; tossed "
        "coins would make 25%.",
        "Judge these prompts again with a clearer rubric, or with more judges; a few per cent are usual for "
        "people.",
        {
            "num_triads": num_triads,
            "share": num_circular / num_triads,
            "num_prompts": len(examples),
            "consistency": consistency,
            "num_prompts_compared_fully": len(complete),
        },
        num_circular,
    )
