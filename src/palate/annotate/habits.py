"""How each annotator votes: how many, how fast, on which side, and whether the votes hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from palate.annotate.ballots import Ballots
from palate.annotate.events import Event
from palate.annotate.queue import pace
from palate.statistics.win_rates import wilson_interval

__all__ = ["Habits", "Share", "habits_of"]


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, with what that says."""

    num: int
    num_of: int
    value: float | None
    """None where there are none to have a share of."""
    interval_95: tuple[float, float] | None

    @classmethod
    def of(cls, num: int, num_of: int) -> Share:
        """With Wilson's interval."""
        if num_of == 0:
            return cls(num, num_of, None, None)
        return cls(num, num_of, num / num_of, wilson_interval(num, num_of - num))


@dataclass(frozen=True, slots=True)
class Habits:
    """One annotator. Counts are of the votes that count now, without those that were taken back."""

    name: str
    num_votes: int
    """Items voted on."""
    num_repeats: int
    """Items voted on a second time."""
    num_skipped: int
    """Items put off and not voted on since."""
    num_imported: int
    """Votes, of all, that came from a file."""
    ties: Share
    both_bad: Share
    left: Share
    """Of the votes for one side, those for the left one: about half, unless the place decides."""
    consistent: Share
    """Of the items voted on twice, those with the same vote both times."""
    median_seconds: float | None
    """From being shown to being chosen, as the page measured it."""
    per_minute: float | None
    """By the median time between the latest votes."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def habits_of(ballots: Ballots, name: str, known: Iterable[str]) -> Habits:
    """How one annotator votes on the `known` items."""
    known = set(known)
    votes = [vote for (item, _), vote in ballots.of_annotator(name).items() if item in known]
    votes.sort(key=lambda vote: vote.number)
    first = [vote for vote in votes if vote.repeat == 0]
    choices = Counter(vote.choice for vote in votes)
    sided = [vote for vote in votes if vote.left is not None and vote.choice in ("a", "b")]
    seconds = [vote.seconds for vote in votes if vote.seconds is not None]
    again = _twice(votes)
    return Habits(
        name=name,
        num_votes=len(first),
        num_repeats=len(votes) - len(first),
        num_skipped=sum(item in known for item, _ in ballots.skipped_by(name)),
        num_imported=sum(bool(vote.source) for vote in votes),
        ties=Share.of(choices["tie"], len(votes)),
        both_bad=Share.of(choices["both_bad"], len(votes)),
        left=Share.of(sum(vote.choice == vote.left for vote in sided), len(sided)),
        consistent=Share.of(sum(one.choice == other.choice for one, other in again), len(again)),
        median_seconds=median(seconds) if seconds else None,
        per_minute=pace(votes),
    )


def _twice(votes: Sequence[Event]) -> list[tuple[Event, Event]]:
    """The first vote on an item and each later one, where there are both."""
    first = {vote.item: vote for vote in votes if vote.repeat == 0}
    return [(first[vote.item], vote) for vote in votes if vote.repeat and vote.item in first]
