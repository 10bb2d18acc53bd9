"""A judge's or people's verdicts on models' answers, with the judge card, for whoever compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from palate.data.judgeable import Judgeable
from palate.durable import ensure_folder
from palate.errors import CallError
from palate.evaluate.compare import Judging
from palate.evaluate.judgements import Contest, JudgeKind, Judgements, to_judge
from palate.evaluate.judges.votes import VoteJudge
from palate.judge.judging import Judge
from palate.judge.sides import names_of
from palate.pipeline.judging import Material, judge_material
from palate.recipe import CompareOptions
from palate.records import Vote
from palate.watcher import Watcher

__all__ = ["judging_of", "judging_of_votes"]

_KINDS: Mapping[str, JudgeKind] = {
    "model": "llm",
    "scorer": "scorer",
    "reward_model": "reward_model",
    "logprob_model": "logprob",
    "jury": "jury",
}


def judging_of(
    judge: Judge,
    kind: str,
    votes: Sequence[Vote],
    verdicts_file: Path,
    options: CompareOptions,
    *,
    seed: int = 0,
    watcher: Watcher | None = None,
) -> Judging:
    """Have a judge say which answers are better.

    A function is a taste that somebody wrote down: it has no card. Any other judge is tried with canaries,
    measured by the votes there are, and its verdicts and card are written.

    Args:
        kind: of its specification, or `jury`.
        votes: people's.
        verdicts_file: where verdicts go; the card goes beside them.
        options: `force` counts verdicts of a judge that failed a canary.
    """

    def judged(contests: Sequence[Contest]) -> Judgements:
        called = _KINDS[kind]
        comparisons = to_judge(contests, called)
        notes = _votes_on(contests, votes, str(options.votes))[1]
        if called == "scorer":
            verdicts = tuple(judge.judge(comparisons, watcher))
            return Judgements(judge.name, called, verdicts, notes=notes)
        if not comparisons:
            return Judgements(judge.name, called, (), notes=notes)
        asked = {names_of(comparison).id for comparison in comparisons}
        ensure_folder(verdicts_file.parent)
        source = str(verdicts_file.with_name("comparison.json"))
        material = Material(
            Judgeable(tuple(comparisons), (), (), 0, source, "comparisons"),
            tuple(vote for vote in votes if names_of(vote.comparison).id in asked),
        )
        done = judge_material(material, judge, verdicts_file, seed=seed, force=options.force, watcher=watcher)
        card = done.card.as_dict()
        return Judgements(judge.name, called, done.verdicts, card, done.card.withheld_because, notes)

    return judged


def judging_of_votes(votes: Sequence[Vote], source: str) -> Judging:
    """People are the judge. `source` says where their votes come from."""

    def judged(contests: Sequence[Contest]) -> Judgements:
        own, notes = _votes_on(contests, votes, source)
        judge = VoteJudge(own)
        return Judgements(judge.name, "votes", tuple(judge.judge(to_judge(contests, "votes"))), notes=notes)

    return judged


def _votes_on(
    contests: Sequence[Contest], votes: Sequence[Vote], source: str
) -> tuple[list[Vote], tuple[str, ...]]:
    """Those on these answers, and in words how many are on others.

    Raises:
        CallError: all are on others.
    """
    judged = {names_of(contest.comparison).id for contest in contests}
    own = [vote for vote in votes if names_of(vote.comparison).id in judged]
    if votes and not own:
        raise CallError(
            f"none of {len(votes):,} votes is on the answers of these models",
            where=source,
            why="a vote belongs to a prompt and two answers, word for word",
            next="vote on this comparison: palate annotate FOLDER, which holds evaluation/comparison.json",
        )
    if len(own) == len(votes):
        return own, ()
    return own, (f"{len(votes) - len(own):,} of {len(votes):,} votes are on other answers, and not counted.",)
