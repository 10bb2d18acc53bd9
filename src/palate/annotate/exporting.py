"""Votes out of the store: as training pairs with their lineage, and one by one as they were cast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from palate.annotate.ballots import Ballots
from palate.annotate.events import Event, Item, Side
from palate.annotate.pooling import PooledVote, pooled_vote
from palate.records import Pair, Provenance, SetAside, Vote

__all__ = ["VotedPairs", "annotator_names", "cast_votes", "pairs_from_votes"]


@dataclass(frozen=True, slots=True)
class VotedPairs:
    """Items in = pairs + items set aside."""

    pairs: tuple[Pair, ...]
    set_aside: tuple[SetAside, ...]
    """Each with its number in the store as its line."""


def annotator_names(ballots: Ballots, *, anonymous: bool) -> dict[str, str]:
    """How each annotator is called in what leaves the store: by name, or by a number.

    The numbers follow neither the alphabet nor who came first, and are the same in every export of the same
    annotators.
    """
    names = {*ballots.annotators, *(event.annotator for event in ballots.adjudications())}
    if not anonymous:
        return {name: name for name in sorted(names)}
    ordered = sorted(names, key=lambda name: blake2b(name.encode("utf-8", "surrogatepass")).digest())
    return {name: f"annotator {number}" for number, name in enumerate(ordered, 1)}


def pairs_from_votes(
    ballots: Ballots,
    items: Iterable[Item],
    *,
    store: str,
    min_agreement: float | None = None,
    anonymous: bool = False,
) -> VotedPairs:
    """A pair of each item on which the votes come to one side.

    Its provenance is the comparison's, with the models as `chosen_generator` and `rejected_generator` and, as
    `votes`, the store, who voted and how many said what. Whatever is no pair is set aside with the reason.

    Args:
        ballots: the votes that count.
        items: all of them.
        store: what the store is called, without a password.
        min_agreement: the least share of an item's votes that say what it comes to. A last word stands
            above it.
        anonymous: call annotators by numbers.
    """
    names = annotator_names(ballots, anonymous=anonymous)
    pairs: list[Pair] = []
    set_aside: list[SetAside] = []
    for item in items:
        vote = pooled_vote(ballots, item)
        code, reason = _why_none(vote, item, min_agreement)
        if vote is None or reason:
            set_aside.append(SetAside(store, item.number, reason, code=code))
        else:
            pairs.append(_pair(vote, store, names))
    return VotedPairs(tuple(pairs), tuple(set_aside))


def _why_none(vote: PooledVote | None, item: Item, min_agreement: float | None) -> tuple[str, str]:
    """The code and the sentence of why an item makes no pair; empty where it makes one."""
    if vote is None:
        return "no_vote", "nobody has voted on it"
    if vote.preferred is None:
        return "level", "votes are level, and nobody had the last word"
    if vote.preferred == "tie":
        return "tie", "a tie: neither is preferred"
    if vote.preferred == "both_bad":
        return "both_bad", "both are bad: neither is preferred"
    if min_agreement is not None and vote.adjudicated_by is None and (vote.agreement or 0) < min_agreement:
        return "disagreement", f"fewer than {min_agreement:g} of its votes agree"
    if item.comparison.provenance.detail.get("has_prompt") is False:
        return "no_prompt", "the file it came from has no prompts, and a pair needs one"
    return "", ""


def _pair(vote: PooledVote, store: str, names: Mapping[str, str]) -> Pair:
    comparison = vote.item.comparison
    chosen: Side = "a" if vote.preferred == "a" else "b"
    rejected: Side = "b" if chosen == "a" else "a"
    said = {
        "store": store,
        "item": vote.item.number,
        "annotators": sorted(names[name] for name in vote.annotators),
        "chosen": vote.counts.get(chosen, 0),
        "rejected": vote.counts.get(rejected, 0),
        "tie": vote.counts.get("tie", 0),
        "both_bad": vote.counts.get("both_bad", 0),
        "adjudicated_by": None if vote.adjudicated_by is None else names[vote.adjudicated_by],
    }
    origin = comparison.provenance
    detail = {name: value for name, value in origin.detail.items() if name not in ("a", "b")}
    for role, side in (("chosen", chosen), ("rejected", rejected)):
        detail |= _of_side(origin.detail.get(side), role)
    sides = {"a": comparison.completion_a, "b": comparison.completion_b}
    provenance = Provenance(origin.source, origin.line, {**detail, "votes": said})
    return Pair(comparison.prompt, sides[chosen], sides[rejected], provenance)


def _of_side(known: object, role: str) -> dict[str, Any]:
    """What is known of a completion, under the names that pairs have for it: `chosen_generator`, ..."""
    if not isinstance(known, Mapping):
        return {}
    return {f"{role}_{'generator' if name == 'model' else name}": value for name, value in known.items()}


def cast_votes(ballots: Ballots, items: Iterable[Item], *, anonymous: bool = False) -> list[Vote]:
    """Every vote that counts, and every last word, in the order in which they were cast.

    None that was undone or replaced is among them. The detail has what an import needs to store the same.
    """
    by_id = {item.id: item for item in items}
    names = annotator_names(ballots, anonymous=anonymous)
    events = sorted([*ballots.votes(), *ballots.adjudications()], key=lambda event: event.number)
    return [
        _vote(by_id[event.item], event, names[event.annotator], anonymous)
        for event in events
        if event.item in by_id
    ]


def _vote(item: Item, event: Event, annotator: str, anonymous: bool) -> Vote:
    detail = {
        "task": item.task,
        "kind": event.kind,
        "repeat": event.repeat,
        "left": event.left,
        "seconds": event.seconds,
        "created_at": event.created_at,
        # A file of votes is often called as the one who cast them.
        "came_from": None if anonymous else event.source or None,
        "key": event.key,
    }
    if event.choice is None:
        raise ValueError(f"event {event.number} is a {event.kind} without a choice")
    return Vote(item.comparison, annotator, event.choice, event.note, detail)
