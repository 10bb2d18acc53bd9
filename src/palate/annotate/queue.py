"""Who is shown what next, and on which side: decided by votes, settings and hashes, never by chance."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import blake2b
from heapq import nlargest
from itertools import islice, pairwise
from statistics import median
from typing import Any

from palate.annotate.ballots import Ballots, Showing
from palate.annotate.certainty import Certainty
from palate.annotate.events import Event, Item, Side
from palate.annotate.settings import Settings

__all__ = ["Leases", "Progress", "Queue", "Shown", "next_items", "pace", "side_on_left"]

_LEASE_SECONDS = 300.0
_NUM_FOR_PACE = 20


@dataclass(frozen=True, slots=True)
class Shown:
    """An item for one annotator to vote on, and which of its completions stands on the left."""

    item: Item
    repeat: int
    left: Side


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one annotator is."""

    done: int
    left: int
    """What is still open to this annotator: with others at work it may fall by more than one at a time."""
    total: int
    per_minute: float | None
    """From the median time between this annotator's latest votes; None before there are three."""
    finished: bool
    """Nothing is left. Where nothing is shown and this is False, the rest is on others' screens."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def side_on_left(seed: int, annotator: str, item: str, repeat: int) -> Side:
    """Which completion stands on the left: a coin toss that falls the same way whenever it is asked for."""
    return "a" if _hash(seed, annotator, item, f"side {repeat}") & 1 else "b"


def _hash(seed: int, annotator: str, item: str, purpose: str) -> int:
    """64 bits that anybody can work out again from the settings."""
    said = f"{seed}\n{purpose}\n{item}\n{annotator}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(said, digest_size=8).digest(), "big")


class Leases:
    """Which items are on somebody's screen now: with one vote wanted, two people are not asked for it.

    In memory alone: when a server starts again there are none, and the worst is a vote more than was wanted.
    """

    def __init__(self, seconds: float = _LEASE_SECONDS) -> None:
        self._seconds = seconds
        self._until: dict[str, dict[str, float]] = {}

    @property
    def items(self) -> Collection[str]:
        """Those that somebody has, or had."""
        return self._until.keys()

    def hold(self, item: str, annotator: str, now: float) -> None:
        """From now on, or for as long again."""
        self._until.setdefault(item, {})[annotator] = now + self._seconds

    def holders(self, item: str, now: float) -> set[str]:
        """Who has it."""
        held = self._until.get(item)
        if held is None:
            return set()
        for name in [name for name, until in held.items() if until <= now]:
            del held[name]
        if not held:
            del self._until[item]
        return set(held)


@dataclass(slots=True)
class _Plan:
    """One annotator's order, and how much of it is open: kept, for to go through all items takes a while."""

    order: tuple[str, ...]
    place_of: Mapping[str, int]
    """Each item's place in the order."""
    repeated: frozenset[str]
    """The items that come twice."""
    ballots: Ballots | None = None
    """Those that `open` follows."""
    num_changes: int = 0
    """How many of their changes it knows."""
    open: list[int] = field(default_factory=list)
    """The places, rising, of what this annotator could still vote on for the first time."""
    num_open_repeated: int = 0
    """Of the open ones, those that come twice."""

    def is_open(self, id: str) -> bool:
        """Whether this annotator could still vote on it for the first time."""
        place = self.place_of.get(id)
        at = len(self.open) if place is None else bisect_left(self.open, place)
        return at < len(self.open) and self.open[at] == place

    def set_open(self, id: str, is_open: bool) -> None:
        """Put an item among the open ones, or take it away; again changes nothing."""
        if is_open == self.is_open(id):
            return
        place = self.place_of[id]
        at = bisect_left(self.open, place)
        if is_open:
            self.open.insert(at, place)
        else:
            del self.open[at]
        if id in self.repeated:
            self.num_open_repeated += 1 if is_open else -1


@dataclass(frozen=True, slots=True)
class _Repeat:
    """An item that was voted on and is to come again."""

    item: str
    num_since: int
    """How many other votes this annotator cast since."""
    delay: int
    """After how many it comes, while there are others: not always after the same number."""


class Queue:
    """All items, and in which order each annotator is shown them. Like `Ballots` it is not locked."""

    def __init__(self, items: Iterable[Item], settings: Settings, leases: Leases | None = None) -> None:
        self.settings = settings
        self.leases = leases or Leases()
        self._items: dict[str, Item] = {}
        self._plans: dict[str, _Plan] = {}
        self._certainty = Certainty() if settings.order == "least-certain" else None
        self.add(items)

    @property
    def num_items(self) -> int:
        """How many there are to vote on."""
        return len(self._items)

    def item(self, id: str) -> Item | None:
        """The item of that id."""
        return self._items.get(id)

    def add(self, items: Iterable[Item]) -> None:
        """More items, behind those that are there; one that is there already stays as it is."""
        new = {item.id: item for item in items}
        new = {id: item for id, item in new.items() if id not in self._items}
        if not new:
            return
        self._items |= new
        self._plans.clear()
        if self._certainty is not None:
            self._certainty.add(new)

    def next_items(
        self,
        ballots: Ballots,
        annotator: str,
        count: int,
        *,
        held: Collection[Showing] = (),
        now: float | None = None,
    ) -> list[Shown]:
        """What comes next for an annotator: at most `count` showings, none of them among those `held`.

        First what nobody put off, with a repeat in between where one is due; then the other repeats; then
        what this annotator skipped. What is shown, and what is held, is leased to the annotator from now on.

        Args:
            ballots: the votes so far.
            annotator: a name.
            count: how many at most.
            held: what the annotator's page has already and will show before these.
            now: seconds on a clock that only rises; the machine's own where absent.
        """
        now = time.monotonic() if now is None else now
        # Where the order stands, nobody need look further than to the last that can be shown.
        enough = count if self._certainty is None else self.num_items
        fresh, later = self._fresh_and_skipped(ballots, annotator, held, now, enough)
        if self._certainty is not None:
            fresh = self._certainty.first(fresh, ballots, count, {id for id, _ in held})
        repeats = [
            repeat for repeat in self._repeats(ballots, annotator) if (repeat.item, 1) not in set(held)
        ]
        chosen = _interleaved(fresh, repeats, later, count, len(held), self.settings.repeat_after)
        if self.settings.overlap != "all":
            for id, _ in (*held, *chosen):
                self.leases.hold(id, annotator, now)
        return [self._shown(annotator, id, repeat) for id, repeat in chosen]

    def progress(self, ballots: Ballots, annotator: str) -> Progress:
        """How far an annotator is, whatever is on others' screens at the moment."""
        votes, plan = ballots.of_annotator(annotator), self._open(ballots, annotator)
        num_open, least = len(plan.open), self.settings.repeat_after
        # A repeat comes only if enough others lie in between: counted as if all that is open came before all
        # that comes again. Where repeats come in between, the last few items may have fewer after them.
        num_others = [repeat.num_since + num_open for repeat in self._repeats(ballots, annotator)]
        last = [plan.order[place] for place in plan.open[-least:]]
        num_others += [len(last) - place for place, id in enumerate(last, 1) if id in plan.repeated]
        # Before the last few are as many as are wanted in between.
        num_repeats = plan.num_open_repeated - sum(id in plan.repeated for id in last)
        for num in sorted(num_others, reverse=True):
            num_repeats += num >= least or num + num_repeats >= least
        done = sum(id in self._items for id, _ in votes)
        left = num_open + num_repeats
        return Progress(done, left, done + left, pace(votes.values()), left == 0)

    def _shown(self, annotator: str, id: str, repeat: int) -> Shown:
        return Shown(self._items[id], repeat, side_on_left(self.settings.seed, annotator, id, repeat))

    def _plan(self, annotator: str) -> _Plan:
        plan = self._plans.get(annotator)
        if plan is None:
            seed, share = self.settings.seed, self.settings.repeat_share
            order = list(self._items)
            if self.settings.order != "given":
                order.sort(key=lambda id: _hash(seed, annotator, id, "order"))
            twice = (id for id in order if _hash(seed, annotator, id, "twice") < share * 2**64)
            place_of = {id: place for place, id in enumerate(order)}
            plan = self._plans[annotator] = _Plan(tuple(order), place_of, frozenset(twice))
        return plan

    def _open(self, ballots: Ballots, annotator: str) -> _Plan:
        """The annotator's plan, up to date: of the items, those that votes came to or left are looked at."""
        plan, changed = self._plan(annotator), ballots.changes
        votes, voters, adjudicated = ballots.of_annotator(annotator), ballots.voters, ballots.adjudication
        wanted = self._num_wanted
        is_new = plan.ballots is not ballots
        ids = plan.order if is_new else changed[plan.num_changes :]
        are_open = [
            id for id in ids if (id, 0) not in votes and len(voters(id)) < wanted and adjudicated(id) is None
        ]
        if is_new:
            plan.ballots, plan.open = ballots, [plan.place_of[id] for id in are_open]
            plan.num_open_repeated = len(plan.repeated.intersection(are_open))
        else:
            among = set(are_open)
            for id in ids:
                if id in plan.place_of:
                    plan.set_open(id, id in among)
        plan.num_changes = len(changed)
        return plan

    @property
    def _num_wanted(self) -> float:
        return float("inf") if self.settings.overlap == "all" else self.settings.overlap

    def _fresh_and_skipped(
        self, ballots: Ballots, annotator: str, held: Collection[Showing], now: float, enough: int
    ) -> tuple[list[str], list[str]]:
        """Those to be shown for the first time: of what nobody put off only so many as are `enough`."""
        plan, leased = self._open(ballots, annotator), self.leases.items
        skipped, taken = ballots.skipped_by(annotator), set(held)

        def is_free(id: str) -> bool:
            return id not in leased or self._is_free(id, ballots, annotator, now)

        not_now = taken | skipped
        ids = (plan.order[place] for place in plan.open)
        fresh = [*islice((id for id in ids if (id, 0) not in not_now and is_free(id)), enough)]
        put_off = sorted(plan.place_of[id] for id, _ in skipped - taken if plan.is_open(id))
        return fresh, [id for id in (plan.order[place] for place in put_off) if is_free(id)]

    def _is_free(self, id: str, ballots: Ballots, annotator: str, now: float) -> bool:
        """Whether votes on it are wanted beyond those that are given, or on their way."""
        on_their_way = {
            name
            for name in self.leases.holders(id, now)
            if name != annotator and (id, 0) not in ballots.skipped_by(name)
        }
        return not on_their_way or len(ballots.voters(id) | on_their_way) < self._num_wanted

    def _repeats(self, ballots: Ballots, annotator: str) -> list[_Repeat]:
        """What is to come again, the longest ago first."""
        votes, plan, seed = ballots.of_annotator(annotator), self._plan(annotator), self.settings.seed
        first = {id: votes[id, 0].number for id in plan.repeated if (id, 0) in votes and (id, 1) not in votes}
        if not first:
            return []
        numbers = sorted(vote.number for vote in votes.values())
        least = self.settings.repeat_after
        return [
            _Repeat(
                id,
                len(numbers) - bisect_right(numbers, first[id]),
                least + _hash(seed, annotator, id, "delay") % least,
            )
            for id in sorted(first, key=lambda id: first[id])
        ]


def next_items(
    ballots: Ballots, items: Iterable[Item], annotator: str, settings: Settings, count: int
) -> list[Shown]:
    """What comes next for an annotator, worked out anew; a server keeps a `Queue`, which knows more."""
    return Queue(items, settings).next_items(ballots, annotator, count)


def _interleaved(
    fresh: Sequence[str],
    repeats: Sequence[_Repeat],
    later: Sequence[str],
    count: int,
    num_held: int,
    repeat_after: int,
) -> list[Showing]:
    waiting, first, skipped = list(repeats), iter(fresh), iter(later)
    chosen: list[Showing] = []
    while len(chosen) < count:
        num_before = num_held + len(chosen)
        due = next((repeat for repeat in waiting if repeat.num_since + num_before >= repeat.delay), None)
        if due is None and (id := next(first, None)) is not None:
            chosen.append((id, 0))
            continue
        if due is None:
            due = next((some for some in waiting if some.num_since + num_before >= repeat_after), None)
        if due is not None:
            waiting.remove(due)
            chosen.append((due.item, 1))
        elif (id := next(skipped, None)) is not None:
            chosen.append((id, 0))
        else:
            break
    return chosen


def pace(votes: Iterable[Event]) -> float | None:
    """Votes a minute, by the median time between the latest: a pause for lunch is no slow vote."""
    latest = nlargest(_NUM_FOR_PACE, (vote for vote in votes if not vote.source), key=_number)
    times = [datetime.fromisoformat(vote.created_at) for vote in reversed(latest) if vote.created_at]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    if len(gaps) < 2 or median(gaps) <= 0:
        return None
    return 60 / median(gaps)


def _number(event: Event) -> int:
    return event.number
