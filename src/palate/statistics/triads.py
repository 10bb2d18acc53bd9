"""Preferences that go round: A over B, B over C, C over A; and the completion that beats all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Totals", "Triads", "beats_all", "circular_triads", "count_triads", "over_prompts"]

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Triads:
    """How many triples of completions, all three compared with each other, go round, and how many do not."""

    num_circular: int
    num_transitive: int
    num_completions: int
    num_decided: int
    """Pairs of completions of which one is preferred."""
    example: tuple[int, int, int] | None
    """Places of three edges that go round."""

    @property
    def num_triads(self) -> int:
        """Triples of which all three pairs are decided."""
        return self.num_circular + self.num_transitive

    @property
    def is_complete(self) -> bool:
        """Whether every two completions were compared, and one of them preferred."""
        return 2 * self.num_decided == self.num_completions * (self.num_completions - 1)

    @property
    def consistency(self) -> float | None:
        """Kendall's coefficient: 1 where nothing goes round, 0 where as much does as can.

        Kendall and Babington Smith, "On the method of paired comparisons", Biometrika 31 (1940). None where
        not all completions were compared with each other, or there are fewer than three.
        """
        n = self.num_completions
        if n < 3 or not self.is_complete:
            return None
        return 1 - 24 * self.num_circular / (n**3 - (n if n % 2 else 4 * n))


@dataclass(frozen=True, slots=True)
class Totals:
    """Triads over many prompts, each counted on its own."""

    num_prompts: int
    num_triads: int
    num_circular: int
    num_prompts_circular: int
    """Prompts with at least one triad that goes round."""
    num_prompts_with_best: int
    """Prompts with a completion that beats all others."""
    num_complete: int
    """Prompts whose completions, three or more, were all compared with each other, and none left level."""
    consistency: float | None
    """The mean of Kendall's coefficient over those; None without any."""

    @property
    def share_circular(self) -> float | None:
        """Of the triads; tossed coins would make 0.25. None without any."""
        return self.num_circular / self.num_triads if self.num_triads else None


def circular_triads(
    preferences: Iterable[tuple[Name, Name]], ties: Iterable[tuple[Name, Name]] = ()
) -> Triads:
    """Count the triads of one prompt.

    Where two completions were compared more than once the majority decides; where it is level nothing does,
    and a triad counts only where all three pairs are decided.

    Args:
        preferences: (winner, loser) of each comparison.
        ties: comparisons in which neither won: they decide nothing, but are not missing either.
    """
    decided, names = _majorities(preferences, ties)
    found = count_triads(decided)
    return Triads(found.num_circular, found.num_transitive, len(names), len(decided), found.example)


def beats_all(
    preferences: Iterable[tuple[Name, Name]], ties: Iterable[tuple[Name, Name]] = ()
) -> Name | None:
    """The completion that wins against each other one of its prompt (Condorcet's winner), if there is one.

    A majority decides between two, as in `circular_triads`; one that was never compared with some other, or
    is level with it, has not beaten it.
    """
    return _best(*_majorities(preferences, ties))


def over_prompts(
    preferences: Mapping[Hashable, Iterable[tuple[Name, Name]]],
    ties: Mapping[Hashable, Iterable[tuple[Name, Name]]] | None = None,
) -> Totals:
    """The triads of each prompt, and their totals.

    Args:
        preferences: (winner, loser) of each comparison, by prompt.
        ties: by prompt; a prompt may have nothing but ties.
    """
    ties = ties or {}
    found: list[Triads] = []
    num_with_best = 0
    for prompt in dict.fromkeys([*preferences, *ties]):
        decided, names = _majorities(preferences.get(prompt, ()), ties.get(prompt, ()))
        triads = count_triads(decided)
        found.append(Triads(triads.num_circular, triads.num_transitive, len(names), len(decided), None))
        num_with_best += _best(decided, names) is not None
    complete = [triads.consistency for triads in found if triads.consistency is not None]
    return Totals(
        num_prompts=len(found),
        num_triads=sum(triads.num_triads for triads in found),
        num_circular=sum(triads.num_circular for triads in found),
        num_prompts_circular=sum(triads.num_circular > 0 for triads in found),
        num_prompts_with_best=num_with_best,
        num_complete=len(complete),
        consistency=sum(complete) / len(complete) if complete else None,
    )


def count_triads(edges: Sequence[tuple[Hashable, Hashable]]) -> Triads:
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
    return Triads(thrice_circular // 3, num_transitive, len(number), len(edges), example)


def _majorities(
    preferences: Iterable[tuple[Name, Name]], ties: Iterable[tuple[Name, Name]]
) -> tuple[list[tuple[Name, Name]], list[Name]]:
    """(better, worse) of each two completions that are not level, and all completions."""
    balance: dict[tuple[Name, Name], int] = {}
    names: dict[Name, None] = {}
    for winner, loser in preferences:
        if winner == loser:
            raise ValueError(f"{winner!r} compared with itself")
        names.update({winner: None, loser: None})
        if (loser, winner) in balance:
            balance[loser, winner] -= 1
        else:
            balance[winner, loser] = balance.get((winner, loser), 0) + 1
    for tie in ties:
        names.update(dict.fromkeys(tie))
    decided = [(pair if lead > 0 else pair[::-1]) for pair, lead in balance.items() if lead]
    return decided, list(names)


def _best(decided: Sequence[tuple[Name, Name]], names: Sequence[Name]) -> Name | None:
    num_wins = Counter(better for better, _ in decided)
    return next((name for name in names if num_wins[name] == len(names) - 1), None) if decided else None
