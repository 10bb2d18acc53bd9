"""What several people's votes on one item come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from palate.annotate.ballots import Ballots
from palate.annotate.events import Choice, Item

__all__ = ["PooledVote", "disagreements", "pool_votes", "pooled_vote"]


@dataclass(frozen=True, slots=True)
class PooledVote:
    """An item with one vote or more, and what they come to."""

    item: Item
    id: str
    """The item's."""
    prompt: str
    """The id of the item's prompt."""
    preferred: Choice | None
    """The last word where there is one, else what more annotators said than anything else; None where they
    are level."""
    counts: Mapping[Choice, int]
    """How many annotators said what: each one's first vote, without repeats."""
    annotators: tuple[str, ...]
    """Who voted, by name."""
    adjudicated_by: str | None = None
    """Who had the last word."""

    @property
    def num_votes(self) -> int:
        """How many annotators voted."""
        return sum(self.counts.values())

    @property
    def is_unanimous(self) -> bool:
        """Whether all who voted said the same."""
        return len(self.counts) < 2

    @property
    def agreement(self) -> float | None:
        """The share of the votes that say what was decided; None where nothing was, or nobody voted."""
        if self.preferred is None or not self.counts:
            return None
        return self.counts.get(self.preferred, 0) / self.num_votes


def pooled_vote(ballots: Ballots, item: Item, id: str | None = None) -> PooledVote | None:
    """What the votes on an item come to; None where there are none. `id` saves working it out."""
    id = item.id if id is None else id
    votes, last_word = ballots.first_votes(id), ballots.adjudication(id)
    if not votes and last_word is None:
        return None
    counts = Counter(vote.choice for vote in votes.values() if vote.choice is not None)
    ordered = counts.most_common(2)
    level = len(ordered) == 2 and ordered[0][1] == ordered[1][1]
    preferred = last_word.choice if last_word is not None else None if level else ordered[0][0]
    by = None if last_word is None else last_word.annotator
    prompt = item.comparison.prompt_id
    return PooledVote(item, id, prompt, preferred, dict(sorted(counts.items())), tuple(votes), by)


def pool_votes(ballots: Ballots, items: Iterable[Item]) -> list[PooledVote]:
    """What the votes on each item come to, in the order of the items; those without any are left out."""
    pooled = (pooled_vote(ballots, item) for item in items)
    return [vote for vote in pooled if vote is not None]


def disagreements(pooled: Iterable[PooledVote]) -> list[PooledVote]:
    """What people disagree on and nobody had the last word on: first where they are level."""
    differing = [vote for vote in pooled if not vote.is_unanimous and vote.adjudicated_by is None]
    return sorted(differing, key=lambda vote: vote.preferred is not None)
