"""People's votes as a judge: what most of them preferred, and nothing where nobody voted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from palate.judge.sides import Label, are_identical, label_of, most, names_of, side_of
from palate.records import Comparison, Verdict, Vote
from palate.watcher import Watcher

__all__ = ["VoteJudge"]


class VoteJudge:
    """Votes that were cast. Nobody is asked: a comparison without a vote has no verdict.

    Each person's vote counts once. Where they are level it is a tie, and so is `both_bad`.
    """

    def __init__(self, votes: Sequence[Vote]) -> None:
        self._votes: dict[str, list[Vote]] = {}
        for vote in votes:
            if not are_identical(vote.comparison):
                self._votes.setdefault(names_of(vote.comparison).id, []).append(vote)
        num = len({vote.annotator for vote in votes})
        self._name = f"votes of {num} {'person' if num == 1 else 'people'}"

    @property
    def name(self) -> str:
        """How many people voted."""
        return self._name

    @property
    def models(self) -> tuple[str, ...]:
        """None: nobody is asked."""
        return ()

    def judge(self, comparisons: Sequence[Comparison], watcher: Watcher | None = None) -> list[Verdict]:
        """One verdict for each comparison, in their order."""
        return [self._verdict(comparison) for comparison in comparisons]

    def _verdict(self, comparison: Comparison) -> Verdict:
        votes = self._votes.get(names_of(comparison).id, [])
        if not votes:
            return Verdict(comparison, self._name, None, "nobody voted on it", detail={"problem": "no_vote"})
        labels: list[Label] = [
            "tie" if vote.preferred == "both_bad" else label_of(vote.comparison, vote.preferred)
            for vote in votes
        ]
        preferred = side_of(comparison, most(labels))
        counts = Counter(side_of(comparison, label) for label in labels)
        said = ", ".join(f"{counts[side]} {side}" for side in ("a", "b", "tie") if counts[side])
        return Verdict(comparison, self._name, preferred, f"votes: {said}")
