"""Where the voting stands: what the dashboard and `palate annotate stats` show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from palate.annotate.ballots import Ballots
from palate.annotate.contests import ModelContest, circles, letters_for, model_contests, model_ranking
from palate.annotate.events import Choice, Event, Item
from palate.annotate.habits import Habits, habits_of
from palate.annotate.pooling import PooledVote, disagreements, pooled_vote
from palate.annotate.settings import Settings
from palate.records import content_id
from palate.statistics.agreement import Agreement, cohens_kappa, fleiss_kappa, krippendorff_alpha
from palate.statistics.bradley_terry import Ranking
from palate.statistics.triads import Totals

__all__ = ["AgreementOfPeople", "Note", "Standing", "standing"]


INTERVAL_SEED = 0
"""Of every interval: not the store's own, for the same votes say the same in any store."""

MAX_LISTED = 100
"""The most disagreements that are listed one by one."""

MAX_NOTES = 20
"""The most notes that are told."""

_NUM_RESAMPLES_OF_PAIRS = 2_000
"""Sixteen people are 120 pairs, and the dashboard is looked at while they vote."""


@dataclass(frozen=True, slots=True)
class AgreementOfPeople:
    """How far annotators agree, from the first vote of each on each item."""

    alpha: Agreement
    """Krippendorff's, of all annotators; its interval is clustered by prompt."""
    fleiss: Agreement | None
    """Fleiss' kappa, where every item that several voted on has the same number of votes."""
    pairs: tuple[tuple[str, str, Agreement], ...]
    """Cohen's kappa of each two that voted on the same items."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "alpha": asdict(self.alpha),
            "fleiss": None if self.fleiss is None else asdict(self.fleiss),
            "pairs": [
                {"first": first, "second": second, "kappa": asdict(kappa)}
                for first, second, kappa in self.pairs
            ],
        }


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote about an item with a vote that counts."""

    annotator: str
    item: str
    number: int
    """The item's."""
    note: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that the votes so far say. The same votes and settings give the same, to the last bit."""

    question: str
    num_items: int
    num_tasks: dict[str, int]
    """Items by task."""
    num_voted: int
    """Items with a vote, or a last word."""
    num_votes: int
    """First votes of all annotators on all items."""
    num_repeats: int
    num_adjudicated: int
    decided: dict[str, int]
    """Items by what their votes come to: one side, a tie, both bad, or level votes."""
    annotators: tuple[Habits, ...]
    agreement: AgreementOfPeople
    disagreements: tuple[PooledVote, ...]
    """Items to adjudicate, those with level votes first."""
    contests: tuple[ModelContest, ...]
    """Each two models that items compare."""
    ranking: Ranking | None
    """Of three models or more."""
    circles: Totals
    """Of the prompts with three completions or more: preferences that go round, and the best of all."""
    notes: tuple[Note, ...]
    """The latest, newest first."""
    num_unknown: int
    """Votes on items that are not among these: nothing of them is counted."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as `--json` prints it."""
        return {
            "question": self.question,
            "num_items": self.num_items,
            "num_tasks": self.num_tasks,
            "num_voted": self.num_voted,
            "num_votes": self.num_votes,
            "num_repeats": self.num_repeats,
            "num_adjudicated": self.num_adjudicated,
            "num_unknown": self.num_unknown,
            "decided": self.decided,
            "annotators": [habits.as_dict() for habits in self.annotators],
            "agreement": self.agreement.as_dict(),
            "num_disagreements": len(self.disagreements),
            "disagreements": [
                {
                    "item": vote.id,
                    "number": vote.item.number,
                    "votes": dict(vote.counts),
                    "level": vote.preferred is None,
                }
                for vote in self.disagreements[:MAX_LISTED]
            ],
            "contests": [contest.as_dict() for contest in self.contests],
            "ranking": None if self.ranking is None else self.ranking.as_dict(),
            "circles": asdict(self.circles) | {"share_circular": self.circles.share_circular},
            "notes": [asdict(note) for note in self.notes],
        }


def standing(ballots: Ballots, items: Iterable[Item], settings: Settings, *, reveal: bool = True) -> Standing:
    """Work out where the voting stands.

    Args:
        ballots: the votes so far.
        items: all of them, in the order of their numbers.
        settings: of the store.
        reveal: whether models are called by their names, or A, B, C by the seed.
    """
    by_id = {item.id: item for item in items}
    pooled = [vote for id, item in by_id.items() if (vote := pooled_vote(ballots, item, id)) is not None]
    letters = {} if reveal else letters_for(list(by_id.values()), settings.seed)

    def called(name: str) -> str:
        return letters.get(name, name)

    votes = ballots.votes()
    known = [vote for vote in votes if vote.item in by_id]
    return Standing(
        question=settings.question,
        num_items=len(by_id),
        num_tasks=dict(sorted(Counter(item.task for item in by_id.values()).items())),
        num_voted=len(pooled),
        num_votes=sum(vote.repeat == 0 for vote in known),
        num_repeats=sum(vote.repeat > 0 for vote in known),
        num_adjudicated=sum(vote.adjudicated_by is not None for vote in pooled),
        decided=_decided(pooled),
        annotators=tuple(habits_of(ballots, name, by_id) for name in ballots.annotators),
        agreement=_agreement(ballots, pooled, INTERVAL_SEED),
        disagreements=tuple(disagreements(pooled)),
        contests=tuple(model_contests(list(by_id.values()), pooled, called, hidden=not reveal)),
        ranking=model_ranking(pooled, INTERVAL_SEED, called),
        circles=circles(pooled),
        notes=_latest_notes(known, by_id),
        num_unknown=len(votes) - len(known),
    )


def _latest_notes(votes: Iterable[Event], items: Mapping[str, Item]) -> tuple[Note, ...]:
    noted = sorted((vote for vote in votes if vote.note), key=lambda vote: -vote.number)[:MAX_NOTES]
    return tuple(Note(vote.annotator, vote.item, items[vote.item].number, vote.note) for vote in noted)


def _decided(pooled: Sequence[PooledVote]) -> dict[str, int]:
    counts = Counter(
        "level" if vote.preferred is None else "one_side" if vote.preferred in ("a", "b") else vote.preferred
        for vote in pooled
    )
    return {name: counts[name] for name in ("one_side", "tie", "both_bad", "level")}


def _sides_by_text(item: Item) -> dict[Choice | None, str]:
    """The sides in an order that follows from the texts' hash and from nothing else.

    Chance agreement is taken from how often each label was given. Where `a` is the base model in every item,
    people who all prefer the tuned one would seem to agree by chance alone: they said "b" nearly always, and
    none of them knew what b is.
    """
    comparison = item.comparison
    sides = (comparison.completion_a, comparison.completion_b)
    a, b = (content_id(comparison.prompt, side) for side in sides)
    return {"a": "first", "b": "second"} if a < b else {"a": "second", "b": "first"}


def _agreement(ballots: Ballots, pooled: Sequence[PooledVote], seed: int) -> AgreementOfPeople:
    prompts: dict[Hashable, Hashable] = {vote.id: vote.prompt for vote in pooled}
    ratings: dict[Hashable, dict[Hashable, Hashable]] = {name: {} for name in ballots.annotators}
    by_text = {vote.id: _sides_by_text(vote.item) for vote in pooled}
    for vote in pooled:
        for name, event in ballots.first_votes(vote.id).items():
            ratings[name][vote.id] = by_text[vote.id].get(event.choice, event.choice)
    pairs = []
    for first, second in combinations(ballots.annotators, 2):
        shared = [id for id in ratings[first] if id in ratings[second]]
        if shared:
            kappa = cohens_kappa(
                [ratings[first][id] for id in shared],
                [ratings[second][id] for id in shared],
                clusters=[prompts[id] for id in shared],
                seed=seed,
                num_resamples=_NUM_RESAMPLES_OF_PAIRS,
            )
            pairs.append((first, second, kappa))
    several = [vote for vote in pooled if vote.num_votes > 1]
    fleiss = None
    if len({vote.num_votes for vote in several}) == 1:
        clusters = [prompts[vote.id] for vote in several]
        counts: list[dict[Hashable, int]] = [
            {by_text[vote.id].get(choice, choice): num for choice, num in vote.counts.items()}
            for vote in several
        ]
        fleiss = fleiss_kappa(counts, clusters=clusters, seed=seed)
    alpha = krippendorff_alpha(ratings, clusters=prompts, seed=seed)
    return AgreementOfPeople(alpha, fleiss, tuple(pairs))
