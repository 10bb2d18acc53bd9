"""What all the verdicts add up to: one side against the other, or a ranking of the models that wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palate.judge.sides import names_of, score_of_a
from palate.records import Verdict
from palate.statistics import bradley_terry
from palate.statistics.win_rates import Outcome, WinRate, outcomes_of, verdict_in_words, win_rate

__all__ = ["Headline", "headline_of"]


@dataclass(frozen=True, slots=True)
class Headline:
    """The win rate of one side over the other; of more than two models, their ranking."""

    side: str | None
    """The first comparison's `a`: its model where all comparisons are between the same two, else `a`."""
    against: str | None
    result: WinRate | None
    ranking: bradley_terry.Ranking | None
    sentence: str
    """Never more than the intervals allow."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        result = self.result
        known = result is not None and result.win_rate is not None
        return {
            "side": self.side,
            "against": self.against,
            "win_rate": result.win_rate if result else None,
            "interval_95": list(result.interval_95) if result and known else None,
            "num_wins": result.num_wins if result else None,
            "num_losses": result.num_losses if result else None,
            "num_ties": result.num_ties if result else None,
            "num_missing": result.num_missing if result else None,
            "sign_test_p": result.sign_test_p if result and known else None,
            "num_more_to_settle": result.num_more_to_settle if result else None,
            "ranking": self.ranking.as_dict() if self.ranking else None,
            "sentence": self.sentence,
        }


def headline_of(verdicts: Sequence[Verdict], seed: int) -> Headline:
    """The headline of a run.

    Comparisons between the same two models throughout: the win rate of one over the other, whichever side
    each stood on. Between more models: Bradley-Terry strengths. Models unknown, or of one: `a` over `b`.

    Args:
        verdicts: of one judge.
        seed: of the ranking's intervals.
    """
    generators = [verdict.comparison.generators for verdict in verdicts]
    pairs = {frozenset(models) for models in generators}
    known = bool(generators) and all(None not in models and models[0] != models[1] for models in generators)
    if known and len(pairs) > 1:
        return _ranking(verdicts, seed)
    side, against = generators[0] if known else ("a", "b")
    outcomes: list[Outcome] = [
        outcome
        for verdict in verdicts
        for outcome in outcomes_of(
            [verdict], "a" if not known or verdict.comparison.generators[0] == side else "b"
        )
    ]
    result = win_rate(outcomes, [names_of(verdict.comparison).prompt_id for verdict in verdicts])
    names = (str(side), str(against)) if known else ("completion a", "completion b")
    return Headline(side, against, result, None, verdict_in_words(result, *names))


def _ranking(verdicts: Sequence[Verdict], seed: int) -> Headline:
    outcomes = [
        bradley_terry.Outcome(a, b, score_of_a(verdict.preferred), names_of(verdict.comparison).prompt_id)
        for verdict in verdicts
        for a, b in [verdict.comparison.generators]
        if verdict.preferred is not None and a is not None and b is not None
    ]
    if not outcomes:
        sentence = "Nothing can be said about these models: every verdict is missing."
        return Headline(None, None, None, None, sentence)
    ranking = bradley_terry.rank(outcomes, seed=seed)
    first, second = ranking.names[:2]
    interval = ranking.lead(first, second).interval_95
    if interval is None or interval[0] <= 0:
        sentence = f"{first} ranks first of {len(ranking.names)} models, and no lead over {second} is shown."
    else:
        sentence = f"{first} ranks first of {len(ranking.names)} models, ahead of {second}, the second."
    return Headline(None, None, None, ranking, sentence)
