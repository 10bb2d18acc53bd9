"""Judging from end to end: what is to be judged, verdicts, the judge card, and the files they go into."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from palate.data.comparisons import check_output
from palate.data.converting import set_aside_line, set_aside_path
from palate.data.excerpts import excerpt
from palate.data.judgeable import Judgeable, read_judgeable
from palate.data.verdicts import write_verdicts
from palate.data.votes import VoteFile, read_votes
from palate.data.writing import refuse_unwritable, write_records
from palate.durable import refuse_closed_folder, write_bytes, write_json
from palate.errors import CallError, DataError, JudgeError, WorkError
from palate.judge.canaries import CanaryResult, run_canaries
from palate.judge.card import JudgeCard, judge_card
from palate.judge.examples import choose_examples
from palate.judge.judging import Judge
from palate.judge.jury import jurors_of, problems_of
from palate.judge.verdict_pairs import PairsFromVerdicts, pairs_from_verdicts
from palate.records import SetAside, Verdict, Vote
from palate.watcher import Watcher

__all__ = [
    "CARD_FILE",
    "Judged",
    "Material",
    "check_outputs",
    "judge_file",
    "judge_material",
    "read_material",
    "rehearse",
    "shortfall",
]

CARD_FILE = "judge_card.json"
"""Written beside the verdicts."""


@dataclass(frozen=True, slots=True)
class Material:
    """What is to be judged, and what people said of it."""

    judgeable: Judgeable
    votes: tuple[Vote, ...] = ()
    """To measure the judge by: none is on a prompt of an example."""
    examples: tuple[Vote, ...] = ()
    """Decided cases to show to a judge."""
    votes_set_aside: tuple[SetAside, ...] = ()

    def account(self) -> dict[str, Any]:
        """Counts, for JSON."""
        return {
            "source": self.judgeable.source,
            "layout": self.judgeable.layout,
            "num_comparisons": len(self.judgeable.comparisons),
            "num_repeated": self.judgeable.num_repeated,
            "num_set_aside": len(self.judgeable.set_aside),
            "num_votes": len(self.votes),
            "num_votes_set_aside": len(self.votes_set_aside),
            "num_examples": len(self.examples),
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """What judging left."""

    material: Material
    verdicts: tuple[Verdict, ...]
    """One for each comparison, the missing ones too."""
    canaries: tuple[CanaryResult, ...]
    card: JudgeCard
    pairs: PairsFromVerdicts | None
    """Where pairs were asked for."""
    files: Mapping[str, str]
    """What was written, and where."""


def read_material(
    source: str,
    *,
    votes: str | None = None,
    num_examples: int | None = None,
    example_ties: bool = True,
    limit: int | None = None,
    seed: int = 0,
) -> Material:
    """Read what is to be judged.

    Args:
        source: a file of comparisons; preference data, or `playground`, whose choices are then votes; or a
            run's folder, of which base and tuned model are compared.
        votes: a file of votes, beside those.
        num_examples: so many votes become examples; the other votes on their prompts measure nothing then.
        example_ties: whether a tie may be an example: not for a rubric that allows none.
        limit: take only the first comparisons. Examples are taken from all votes.
        seed: which votes become examples.

    Raises:
        DataError: a file cannot be read, or holds nothing to compare. CallError: the votes are on nothing
            that is judged. JudgeError: there are not so many examples.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit = {limit}", next="take 1 comparison or more")
    found = _judgeable(source)
    judgeable = replace(found, comparisons=found.comparisons[:limit])
    cast, aside = found.votes, tuple[SetAside, ...]()
    judged = {comparison.id for comparison in judgeable.comparisons}
    if votes is not None:
        read = _votes_of(votes)
        cast, aside = (*cast, *read.votes), read.set_aside
        if num_examples is None and not any(vote.comparison.id in judged for vote in read.votes):
            raise CallError(
                f"none of {len(read.votes):,} votes is on a comparison that is judged",
                where=votes,
                why="a vote belongs to a prompt and two completions, word for word",
                next="name votes on these comparisons, or drop them",
            )
    examples: tuple[Vote, ...] = ()
    if num_examples is not None:
        examples = tuple(_examples(cast, judged, num_examples, seed, source, example_ties))
        shown = {vote.comparison.prompt_id for vote in examples}
        cast = tuple(vote for vote in cast if vote.comparison.prompt_id not in shown)
    return Material(judgeable, tuple(v for v in cast if v.comparison.id in judged), examples, aside)


def _judgeable(source: str) -> Judgeable:
    if source == "playground":
        from palate.playground import write_pairs

        return read_judgeable(str(write_pairs()))
    if Path(source).expanduser().is_dir():
        from palate.pipeline.annotation_source import read_annotation_source

        found = read_annotation_source(source)
        return Judgeable(found.comparisons, (), found.set_aside, found.num_repeated, source, "run")
    return read_judgeable(source)


def _votes_of(path: str) -> VoteFile:
    try:
        return read_votes(path)
    except DataError as error:
        if "--columns" not in error.next:
            raise
        raise DataError(
            error.what,
            where=error.where,
            why=error.why,
            next="name the columns prompt, completion_a, completion_b and preferred, or so as above",
        ) from None


def _examples(
    votes: Sequence[Vote], judged: set[str], num: int, seed: int, source: str, allow_ties: bool
) -> list[Vote]:
    """Of votes on what is not judged, where there are enough: they measure nothing anyway."""
    if not votes:
        raise CallError(
            f"examples = {num}: there are no votes to take them from",
            where=source,
            next="name a file of votes, or judge preference data, whose choices are votes",
        )
    others = [vote for vote in votes if vote.comparison.id not in judged]
    try:
        return choose_examples(others, num, seed=seed, allow_ties=allow_ties)
    except JudgeError:  # these alone are not enough
        return choose_examples(votes, num, seed=seed, allow_ties=allow_ties)


def judge_file(
    source: str,
    judge: Judge,
    output: str | Path,
    *,
    votes: str | None = None,
    limit: int | None = None,
    pairs: str | Path | None = None,
    num_canaries: int = 4,
    seed: int = 0,
    force: bool = False,
    watcher: Watcher | None = None,
) -> Judged:
    """Judge what a file holds, and write verdicts, judge card, rows set aside and, if wanted, pairs.

    For what the arguments mean, and what is raised, see `read_material` and `judge_material`.
    """
    check_outputs(source, output, pairs)
    material = read_material(source, votes=votes, limit=limit, seed=seed)
    return judge_material(
        material,
        judge,
        output,
        pairs=pairs,
        num_canaries=num_canaries,
        seed=seed,
        force=force,
        watcher=watcher,
    )


def check_outputs(source: str, output: str | Path, pairs: str | Path | None = None) -> None:
    """See that the files can be written, before anything is paid for.

    Raises:
        DataError: a name says no format, is that of a folder, or nothing can be written there. CallError: two
            are the same file.
    """
    check_output(output)
    named = {"source": Path(source), "output": Path(output), CARD_FILE: Path(output).with_name(CARD_FILE)}
    if pairs is not None:
        refuse_unwritable(Path(pairs))
        named["pairs"] = Path(pairs)
    for path in named.values():
        refuse_closed_folder(path.parent)
    seen: dict[Path, str] = {}
    for name, path in named.items():
        other = seen.setdefault(path.expanduser().resolve(), name)
        if other != name:
            raise CallError(f"{other} and {name} are the same file", where=str(path), next="name another one")


def judge_material(
    material: Material,
    judge: Judge,
    output: str | Path,
    *,
    pairs: str | Path | None = None,
    num_canaries: int = 4,
    seed: int = 0,
    force: bool = False,
    watcher: Watcher | None = None,
) -> Judged:
    """Ask the canaries, then for a verdict on every comparison; write all of it.

    Canaries come first: whoever watches can stop before a judge that failed is paid for the rest.

    Args:
        output: the verdicts, `.jsonl` or `.parquet`; `judge_card.json` and rows set aside go beside it.
        pairs: training pairs from clear verdicts, `.jsonl`, `.jsonl.gz` or `.parquet`; none are written where
            the headline is withheld.
        num_canaries: how often each canary is asked.
        seed: which comparisons become canaries, and the resampling behind intervals.
        force: give the card's headline, and write pairs, even though a canary failed.

    Raises:
        PalateError: nothing can be judged at all. ArtifactError: a file cannot be written.
    """
    watcher = watcher or Watcher()
    check_outputs(material.judgeable.source, output, pairs)
    comparisons = material.judgeable.comparisons
    _check_canaries(num_canaries)
    canaries = tuple(run_canaries(judge, comparisons, num=num_canaries, seed=seed, watcher=watcher))
    failed = [canary.name for canary in canaries if canary.passed is False]
    if failed:
        watcher.note(f"{judge.name} failed {', '.join(failed)}; its verdicts are asked for all the same")
    verdicts = tuple(judge.judge(comparisons, watcher))
    card = judge_card(verdicts, canaries, votes=material.votes, judge=judge, seed=seed, force=force)
    made = pairs_from_verdicts(verdicts) if pairs is not None else None
    _note_other_card(Path(output).with_name(CARD_FILE), judge.name, watcher)
    files = _write(material, verdicts, card, made, Path(output), None if pairs is None else Path(pairs))
    if pairs is not None and "pairs" not in files and Path(pairs).exists():
        watcher.note(f"{pairs} was there before, and has nothing to do with these verdicts")
    return Judged(material, verdicts, canaries, card, made, files)


def _note_other_card(path: Path, judge: str, watcher: Watcher) -> None:
    try:
        other = json.loads(path.read_text(encoding="utf-8"))["judge"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # none is there, or what is there is no card
    if other != judge:
        watcher.note(
            f"{path} was the card of {excerpt(str(other))}: a folder holds one, and this one replaces it"
        )


def _write(
    material: Material,
    verdicts: Sequence[Verdict],
    card: JudgeCard,
    made: PairsFromVerdicts | None,
    output: Path,
    pairs: Path | None,
) -> dict[str, str]:
    files = {"verdicts": output, "card": output.with_name(CARD_FILE)}
    write_verdicts(verdicts, output)
    write_json(files["card"], card.as_dict())
    aside = set_aside_path(output)
    rows = (*material.judgeable.set_aside, *material.votes_set_aside)
    if rows:
        write_bytes(aside, b"".join(map(set_aside_line, rows)))
        files["set_aside"] = aside
    else:
        aside.unlink(missing_ok=True)  # an earlier run's would speak of other rows
    # What a judge prefers that a canary has shown up is nothing to train on, unless somebody says so.
    if made is not None and pairs is not None and made.pairs and card.headline is not None:
        write_records(made.pairs, pairs)
        files["pairs"] = pairs
    return {name: str(path) for name, path in files.items()}


def rehearse(material: Material, judges: Sequence[Judge], *, num_canaries: int = 4, seed: int = 0) -> None:
    """Have judges whose askers only count (`palate.asking.Rehearsal`) ask all that judging would ask."""
    _check_canaries(num_canaries)
    for judge in judges:
        run_canaries(judge, material.judgeable.comparisons, num=num_canaries, seed=seed)
        judge.judge(material.judgeable.comparisons)


def shortfall(judged: Judged) -> WorkError | None:
    """Why what came out is less than what was asked for; None where it is not.

    That is: no verdict at all; verdicts that were never asked for, because a budget or a key was at its end;
    a headline that is withheld; pairs that were wanted, and none came out.
    """
    card = judged.card.as_dict()
    reasons = ", ".join(f"{count:,} {name}" for name, count in card["missing_reasons"].items())
    if not_asked := [verdict for verdict in judged.verdicts if "not_asked" in problems_of(verdict)]:
        of_jurors = " of a juror or more" if card["judges"] else ""
        return WorkError(
            f"{len(not_asked):,} of {card['num_asked']:,} verdicts{of_jurors} were never asked for",
            where=judged.files["verdicts"],
            why=next((v.reason for v in _each_own(not_asked[0]) if "not_asked" in v.reason), ""),
            next="the same command again asks for these, and for nothing that was answered",
        )
    if not card["num_given"]:
        return WorkError(
            f"{judged.card.judge} gave no verdict on any of {card['num_asked']:,} comparisons",
            where=judged.files["verdicts"],
            why=reasons,
            next="each row of the file says why; the same command again asks only for what has no response",
        )
    if judged.card.headline is None:
        return WorkError(
            judged.card.withheld_because,
            where=judged.files["card"],
            why="no pairs were written either" if judged.pairs is not None else "",
            next="take another judge or rubric; --force goes on in spite of it",
        )
    if judged.pairs is not None and not judged.pairs.pairs:
        return WorkError("no verdict makes a pair", why=_of_no_pairs(judged.pairs))
    return None


def _each_own(verdict: Verdict) -> list[Verdict]:
    return [verdict, *(juror for juror, _ in jurors_of(verdict))]


def _of_no_pairs(made: PairsFromVerdicts) -> str:
    return f"{made.num_ties:,} ties, {made.num_flipped:,} flipped, {made.num_missing:,} missing"


def _check_canaries(num: int) -> None:
    if num < 1:
        raise CallError(f"{num} canaries of each kind", next="ask 1 or more: no judge goes unchecked")
