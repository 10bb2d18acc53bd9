"""Preferences that cannot all be true: A over B and B over A, and A over B over C over A."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from palate.data.audit.draft import Draft
from palate.data.audit.finding import MAX_EXAMPLES
from palate.data.audit.grouping import grouped
from palate.data.audit.index import RowIndex, mixed
from palate.data.audit.set_aside import rows as counted

__all__ = ["Triads", "circular_triads", "contradictory_pairs", "count_triads"]

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


@dataclass(frozen=True, slots=True)
class Triads:
    """How many triples of completions, all three compared with each other, go round, and how many do not."""

    num_circular: int
    num_transitive: int
    num_completions: int
    example: tuple[int, int, int] | None
    """Places of three edges that go round."""

    @property
    def consistency(self) -> float:
        """Kendall's coefficient: 1 where nothing goes round, 0 where as much does as can.

        Kendall and Babington Smith, "On the method of paired comparisons", Biometrika 31 (1940). For
        completions that were all compared with each other.
        """
        n = self.num_completions
        return 1 - 24 * self.num_circular / (n**3 - (n if n % 2 else 4 * n))


def count_triads(edges: list[tuple[int, int]]) -> Triads:
    """Count triads exactly; each edge is (better, worse), and no two compare the same completions.

    A completion's victories and defeats are bits of one integer each: an edge's triads are what two of them
    share. That is the number of edges times the number of completions over 64 in machine words.
    """
    number = {name: place for place, name in enumerate(dict.fromkeys(end for edge in edges for end in edge))}
    beats, beaten_by = [0] * len(number), [0] * len(number)
    places: dict[tuple[int, int], int] = {}
    for place, (better, worse) in enumerate(edges):
        up, down = number[better], number[worse]
        beats[up] |= 1 << down
        beaten_by[down] |= 1 << up
        places[up, down] = place
    thrice_circular = num_transitive = 0
    example = None
    for (up, down), place in places.items():
        round_about = beats[down] & beaten_by[up]
        thrice_circular += round_about.bit_count()
        num_transitive += (beaten_by[up] & beaten_by[down]).bit_count()
        if round_about and example is None:
            third = round_about.bit_length() - 1
            example = (place, places[down, third], places[third, up])
    return Triads(thrice_circular // 3, num_transitive, len(number), example)


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
    yield from _drafted(found, sorted(examples), [int(n) for n in prompts.sizes[prompts.sizes >= 3]])


def _drafted(found: list[Triads], examples: list[tuple[int, ...]], num_edges: list[int]) -> Iterator[Draft]:
    num_circular = sum(triads.num_circular for triads in found)
    if not num_circular:
        return
    num_triads = num_circular + sum(triads.num_transitive for triads in found)
    complete = [
        triads.consistency
        for triads, num in zip(found, num_edges, strict=True)
        if num == triads.num_completions * (triads.num_completions - 1) // 2
    ]
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
