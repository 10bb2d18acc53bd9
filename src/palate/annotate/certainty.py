"""What one more vote on an item would tell: the order in which the least certain comes first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from heapq import nlargest

import numpy as np

from palate.annotate.ballots import Ballots
from palate.annotate.events import Choice, Item
from palate.records import content_id
from palate.statistics.bradley_terry import fit

__all__ = ["Certainty"]

_RIDGE = 1.0
"""The completions' strengths have a normal prior of this precision: two of them, never compared, may well
differ so much that one is preferred four times in five."""
_UNKNOWN = round(math.log1p(0.25 * 2 / _RIDGE) / 2, 9)
"""What a vote tells of two completions that nothing is known of, in nats: see `Fit.gains`."""

_SCORES: dict[Choice, float] = {"a": 1.0, "b": 0.0, "tie": 0.5, "both_bad": 0.5}


class Certainty:
    """How much a vote on each item would tell, from the votes so far.

    The completions of a prompt are players of a Bradley-Terry model; what one more vote tells is large where
    its outcome is open and little is known of the two. Prompts share no completions, so each is fitted alone,
    and again only when a vote on it came or went. Where the models that wrote the completions are known, they
    are players too, over all prompts: that decides between items of which the first says the same.
    """

    def __init__(self) -> None:
        self._place = 0
        self._ballots: Ballots | None = None
        self._items: dict[str, Item] = {}
        self._prompt_of: dict[str, str] = {}
        self._prompts: dict[str, list[str]] = {}
        self._sides: dict[str, tuple[str, str]] = {}
        self._gains: dict[str, float] = {}
        self._counted: dict[str, tuple[float, float]] = {}
        self._models: dict[str, frozenset[str]] = {}
        self._wins: dict[tuple[str, str], float] = {}
        self._model_gains: dict[frozenset[str], float] = {}

    def add(self, items: Mapping[str, Item]) -> None:
        """More items that can be voted on, by their ids."""
        for id, item in items.items():
            comparison = item.comparison
            self._items[id] = item
            self._prompt_of[id] = comparison.prompt_id
            self._prompts.setdefault(comparison.prompt_id, []).append(id)
            self._sides[id] = (content_id(comparison.completion_a), content_id(comparison.completion_b))
            self._gains[id] = _UNKNOWN
            self._models[id] = frozenset(name for name in comparison.generators if name is not None)

    def first(self, ids: Sequence[str], ballots: Ballots, count: int, held: Set[str]) -> list[str]:
        """Of the items the `count` on which a vote tells most, that first; equal ones in their order.

        No two of them are of one prompt, nor of the prompt of an item that is held, as long as there are
        others: the first vote changes what the second would tell.
        """
        self.update(ballots)
        used = {self._prompt_of[id] for id in held if id in self._prompt_of}
        chosen: list[str] = []
        # The best few hold so many prompts nearly always, and are found far sooner than the whole order.
        for num_looked_at in (20 * count, len(ids)):
            chosen, rest = self._of_many_prompts(nlargest(num_looked_at, ids, key=self._gain), used)
            if len(chosen) >= count:
                return chosen[:count]
        return [*chosen, *rest][:count]

    def _of_many_prompts(self, ids: Sequence[str], used: Set[str]) -> tuple[list[str], list[str]]:
        """The first of each prompt that is not used, and the others."""
        chosen: dict[str, str] = {}
        rest: list[str] = []
        for id in ids:
            prompt = self._prompt_of[id]
            if prompt in used or prompt in chosen:
                rest.append(id)
            else:
                chosen[prompt] = id
        return list(chosen.values()), rest

    def _gain(self, id: str) -> tuple[float, float]:
        """What a vote tells of the completions, and of the models that wrote them, in nats."""
        return self._gains[id], self._model_gains.get(self._models[id], _UNKNOWN)

    def update(self, ballots: Ballots) -> None:
        """Take notice of the votes that came or went since the last time."""
        if ballots is not self._ballots:
            self._ballots, self._place, self._counted, self._wins, self._model_gains = ballots, 0, {}, {}, {}
            self._gains = dict.fromkeys(self._gains, _UNKNOWN)
        changed = {id for id in ballots.changes[self._place :] if id in self._items}
        self._place = len(ballots.changes)
        for id in changed:
            self._count(id, ballots)
        for prompt in {self._prompt_of[id] for id in changed}:
            self._fit_prompt(prompt, ballots)
        if changed:
            self._fit_models()

    def _count(self, id: str, ballots: Ballots) -> None:
        """Bring the wins of the two models up to date with the votes on an item."""
        first, second = self._items[id].comparison.generators
        if first is None or second is None or first == second:
            return
        new = _wins(id, ballots)
        old = self._counted.get(id, (0.0, 0.0))
        self._counted[id] = new
        for place, pair in enumerate(((first, second), (second, first))):
            self._wins[pair] = self._wins.get(pair, 0.0) + new[place] - old[place]

    def _fit_prompt(self, prompt: str, ballots: Ballots) -> None:
        wins: dict[tuple[str, str], float] = {}
        for id in self._prompts[prompt]:
            a, b = self._sides[id]
            wins[a, b], wins[b, a] = _wins(id, ballots)
        gains = _gains(wins)
        for id in self._prompts[prompt]:
            self._gains[id] = gains[frozenset(self._sides[id])]

    def _fit_models(self) -> None:
        self._model_gains = _gains(self._wins)


def _wins(id: str, ballots: Ballots) -> tuple[float, float]:
    """How often each of an item's completions was preferred, with ties as halves."""
    votes = [vote.choice for vote in ballots.by_item.get(id, {}).values() if vote.choice is not None]
    score = sum(_SCORES[choice] for choice in votes)
    return score, len(votes) - score


def _gains(wins: Mapping[tuple[str, str], float]) -> dict[frozenset[str], float]:
    """What one more comparison of each two that were compared, or can be, would tell."""
    names = sorted({name for pair in wins for name in pair})
    if not names:
        return {}
    number = {name: place for place, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)))
    for (winner, loser), count in wins.items():
        counts[number[winner], number[loser]] += count
    # Rounded: what is the same but for the last bits of a float is decided by the next rule.
    gains = np.round(fit(counts, regularisation=_RIDGE).gains(), 9)
    return {frozenset(pair): float(gains[number[pair[0]], number[pair[1]]]) for pair in wins}
