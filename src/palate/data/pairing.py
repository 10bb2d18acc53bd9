"""How an order of completions becomes pairs: by a stated rule, with what it drops counted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

from palate.data.messages import Unusable
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import Pair, Provenance, Ranking

__all__ = [
    "EACH_WITH_EACH",
    "MadePairs",
    "PairRule",
    "PairsOf",
    "count_pairs",
    "pairs_of_ranking",
    "strict_ranking",
]

PairsOf = Literal["all", "best_worst", "neighbours"]


@dataclass(frozen=True, slots=True)
class PairRule:
    """Which completions are compared, how far apart they have to be, and what becomes of the difference."""

    pairs: PairsOf = "all"
    """`all`: each with each, `best_worst`: the first with the last, `neighbours`: each with its next."""
    min_gap: float | None = None
    """The least difference of two scores, in their own unit; None takes any difference."""
    score_margin: bool = False
    """Whether the difference becomes the pair's margin."""

    @classmethod
    def of(cls, options: SourceOptions) -> PairRule:
        """The rule that a source states."""
        return cls(options.pair_rule, options.min_gap, options.score_margin)

    @property
    def needs_scores(self) -> bool:
        """Whether it can only be followed where differences are stated."""
        return self.min_gap is not None or self.score_margin

    def is_too_close(self, gap: float) -> bool:
        """Whether a difference is below the least, but for the rounding of decimal fractions."""
        least = self.min_gap
        return least is not None and gap < least and not math.isclose(gap, least, rel_tol=1e-9)

    def margin_of(self, gap: float | None) -> float | None:
        """The margin of a pair with this stated difference.

        Raises:
            Unusable: the rule needs a difference and there is none, it is too small, or it is negative where
            it should become a margin.
        """
        if not self.needs_scores:
            return None
        if gap is None:
            raise Unusable("the row does not say by how much chosen is better")
        if self.is_too_close(gap):
            raise Unusable(f"chosen is better by less than min_gap = {self.min_gap:g}")
        if not self.score_margin:
            return None
        if gap < 0:
            raise Unusable("the row's scores say that rejected is the better one")
        return gap


EACH_WITH_EACH = PairRule()
"""What is done where nothing is said: every two completions that differ make a pair."""


@dataclass(frozen=True, slots=True)
class MadePairs:
    """The pairs of one ranking, best completion first, and the comparisons that made none."""

    pairs: tuple[Pair, ...]
    num_tied: int = 0
    num_below_gap: int = 0


def pairs_of_ranking(ranking: Ranking, rule: PairRule, *, where: str) -> MadePairs:
    """A ranking's pairs by the rule. Each says its `places` from 1, and both scores where there are any.

    Raises:
        DataError: the rule needs scores, and the ranking has none; `where` is the source's name.
    """
    scores = ranking.scores
    if scores is None and rule.needs_scores:
        raise _no_scores(rule, where)
    pairs: list[Pair] = []
    num_tied = num_below_gap = 0
    for i, j in _compared(len(ranking.completions), rule.pairs):
        gap = None if scores is None else scores[i] - scores[j]
        if gap == 0:
            num_tied += 1
        elif gap is not None and rule.is_too_close(gap):
            num_below_gap += 1
        else:
            pairs.append(_pair(ranking, i, j, gap if rule.score_margin else None))
    return MadePairs(tuple(pairs), num_tied, num_below_gap)


def _compared(num_completions: int, pairs: PairsOf) -> Iterable[tuple[int, int]]:
    match pairs:
        case "all":
            return combinations(range(num_completions), 2)
        case "best_worst":
            return [(0, num_completions - 1)]
        case "neighbours":
            return pairwise(range(num_completions))


def _pair(ranking: Ranking, i: int, j: int, margin: float | None) -> Pair:
    origin, scores = ranking.provenance, ranking.scores
    detail = {**origin.detail, "places": [i + 1, j + 1]}
    if scores is not None:
        detail |= {"chosen_score": scores[i], "rejected_score": scores[j]}
    provenance = Provenance(origin.source, origin.line, detail)
    chosen, rejected = ranking.completions[i], ranking.completions[j]
    return Pair(ranking.prompt, chosen, rejected, provenance, margin, ranking.weight)


def count_pairs(rankings: Iterable[Ranking], rule: PairRule, *, where: str) -> dict[str, int]:
    """How many pairs the rule makes of the rankings (`num_pairs`), and what it drops (see `MadePairs`).

    Raises:
        DataError: as `pairs_of_ranking`.
    """
    counts = {"num_pairs": 0, "num_tied": 0, "num_below_gap": 0}
    for ranking in rankings:
        made = pairs_of_ranking(ranking, rule, where=where)
        counts["num_pairs"] += len(made.pairs)
        counts["num_tied"] += made.num_tied
        counts["num_below_gap"] += made.num_below_gap
    return counts


def strict_ranking(ranking: Ranking) -> Ranking:
    """The ranking without ties: of completions that tie the first stays, and `num_tied` are left out.

    No order is made up: what stays is ordered by the data itself.
    """
    scores = ranking.scores
    if scores is None or len(set(scores)) == len(scores):
        return ranking
    kept = [place for place, score in enumerate(scores) if place == 0 or scores[place - 1] != score]
    origin = ranking.provenance
    detail = {**origin.detail, "num_tied": len(scores) - len(kept)}
    return Ranking(
        ranking.prompt,
        tuple(ranking.completions[place] for place in kept),
        Provenance(origin.source, origin.line, detail),
        ranking.weight,
        tuple(scores[place] for place in kept),
    )


def _no_scores(rule: PairRule, where: str) -> DataError:
    name = "score_margin" if rule.min_gap is None else f"min_gap = {rule.min_gap:g}"
    return DataError(
        f"{name} has no effect: a ranking here has no scores",
        where=where,
        why="a list that is only best first says which completion is better, and not by how much",
        next="drop the option, or take data with scores or ranks beside the completions",
    )
