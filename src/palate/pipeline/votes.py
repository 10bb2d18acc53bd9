"""Votes of a store to files and back, and where the voting stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from palate.annotate.ballots import Ballots
from palate.annotate.exporting import VotedPairs, cast_votes, pairs_from_votes
from palate.annotate.importing import ImportedVotes, import_votes
from palate.annotate.settings import read_settings
from palate.annotate.standing import Standing, standing
from palate.annotate.store import VoteStore
from palate.data.comparisons import check_output
from palate.data.converting import refuse_to_overwrite, set_aside_line, set_aside_path
from palate.data.reasons import Reasons
from palate.data.votes import VoteFile, read_votes, write_votes
from palate.data.writing import refuse_unwritable, write_records
from palate.durable import write_bytes
from palate.errors import CallError

__all__ = ["Export", "Import", "StoreStanding", "export_votes", "import_vote_file", "read_standing"]


@dataclass(frozen=True, slots=True)
class StoreStanding:
    """Where the voting of one store stands."""

    store: str
    """The file, or the URL without its password."""
    standing: Standing

    def as_data(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"store": self.store, **self.standing.as_dict()}


def read_standing(store: str, *, reveal: bool = True) -> StoreStanding:
    """Where the voting of a store stands. `reveal`: whether models are called by their names.

    Raises:
        StoreRefused: there is no such store. StoreUnavailable: it cannot be read.
    """
    with VoteStore(store, must_exist=True) as opened:
        ballots, items = Ballots(opened.events()), opened.items()
        found = standing(ballots, items, read_settings(opened), reveal=reveal)
        return StoreStanding(opened.name, found)


@dataclass(frozen=True, slots=True)
class Export:
    """What was written. Items in = pairs + items set aside."""

    store: str
    num_items: int
    num_pairs: int
    set_aside: Mapping[str, int]
    """Items without a pair, by kind: `no_vote`, `level`, `tie`, `both_bad`, `disagreement`, `no_prompt`."""
    reasons: tuple[dict[str, Any], ...]
    """The same in sentences, with the first places of each."""
    pairs_file: Path | None
    """None where no pairs were asked for, or there are none."""
    set_aside_file: Path | None
    votes_file: Path | None
    num_votes: int | None
    """Votes written one by one, last words among them; None where they were not asked for."""

    def as_data(self) -> dict[str, Any]:
        """All of it as plain data."""
        files = ("pairs_file", "set_aside_file", "votes_file")
        named = {name: None if (path := getattr(self, name)) is None else str(path) for name in files}
        return {**asdict(self), "set_aside": dict(self.set_aside), "reasons": list(self.reasons), **named}


def export_votes(
    store: str,
    out: Path | None = None,
    *,
    votes: Path | None = None,
    min_agreement: float | None = None,
    anonymous: bool = False,
    overwrite: bool = False,
) -> Export:
    """Write what votes come to as training pairs into `out`, and the votes themselves into `votes`.

    Each file is there whole or not at all. Items that make no pair are listed beside the pairs.

    Args:
        store: a path, or a database's URL.
        out: .jsonl, .jsonl.gz or .parquet.
        votes: .jsonl or .parquet, which an import takes again.
        min_agreement: the least share of an item's votes that say what it comes to.
        anonymous: call annotators by numbers.
        overwrite: replace files that are there.

    Raises:
        CallError: nothing is asked for, or an option has no effect. DataError: a file is there already, or
            its name says no format. StoreRefused: there is no such store.
    """
    _refuse_export(out, votes, min_agreement)
    beside = None if out is None else set_aside_path(out)
    refuse_to_overwrite(
        store, tuple(p for p in (out, beside, votes) if p is not None), allowed=overwrite, called="store"
    )
    with VoteStore(store, must_exist=True) as opened:
        ballots, items, name = Ballots(opened.events()), opened.items(), opened.name
    made = pairs_from_votes(ballots, items, store=name, min_agreement=min_agreement, anonymous=anonymous)
    if out is not None and beside is not None:
        _write_pairs(made, out, beside)
    num_votes = None
    if votes is not None:
        num_votes = write_votes(cast_votes(ballots, items, anonymous=anonymous), votes)
    reasons = Reasons()
    for row in made.set_aside:
        reasons.add(row)
    return Export(
        store=name,
        num_items=len(items),
        num_pairs=len(made.pairs),
        set_aside=dict(sorted(Counter(row.code for row in made.set_aside).items())),
        reasons=tuple(reasons.as_data()),
        pairs_file=out if made.pairs else None,
        set_aside_file=beside if made.set_aside else None,
        votes_file=votes,
        num_votes=num_votes,
    )


def _refuse_export(out: Path | None, votes: Path | None, min_agreement: float | None) -> None:
    where = "palate annotate export"
    if out is None and votes is None:
        raise CallError(
            "nothing is asked for", where=where, next="-o PAIRS.jsonl, --votes VOTES.jsonl, or both"
        )
    if min_agreement is not None and not 0 < min_agreement <= 1:
        raise CallError(
            f"--min-agreement {min_agreement:g} is no share of votes", where=where, next="above 0, at most 1"
        )
    if min_agreement is not None and out is None:
        raise CallError(
            "--min-agreement has no effect: it decides about pairs", where=where, next="drop it, or add -o"
        )
    if out is not None:
        refuse_unwritable(out)
    if votes is not None:
        check_output(votes)
    if out is not None and votes is not None and out.absolute() == votes.absolute():
        raise CallError("pairs and votes cannot be one file", where=str(out), next="name two")


def _write_pairs(made: VotedPairs, out: Path, beside: Path) -> None:
    """Neither file is there for nothing: what an earlier export left would pass for this one's."""
    if made.pairs:
        write_records(made.pairs, out)
    else:
        out.unlink(missing_ok=True)
    if made.set_aside:
        write_bytes(beside, b"".join(set_aside_line(row) for row in made.set_aside))
    else:
        beside.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Import:
    """What a file of votes brought. Rows in = rows kept + rows set aside."""

    source: str
    store: str
    file: VoteFile
    votes: ImportedVotes
    reasons: tuple[dict[str, Any], ...]

    def as_data(self) -> dict[str, Any]:
        """All of it as plain data."""
        file = self.file
        return {
            "source": self.source,
            "store": self.store,
            "layout": file.layout,
            "columns": None if file.columns is None else asdict(file.columns),
            "has_prompts": file.has_prompts,
            "annotators": sorted({vote.annotator for vote in file.votes}),
            "num_rows": file.num_rows,
            "num_kept": file.num_kept,
            "num_set_aside": len(file.set_aside),
            "num_repeated": file.num_repeated,
            **asdict(self.votes),
            "set_aside": list(self.reasons),
        }


def import_vote_file(
    source: str, store: str, *, annotator: str | None = None, columns: Mapping[str, str] | None = None
) -> Import:
    """Add a file's votes to a store, which is made where there is none. Again, it adds nothing.

    Args:
        source: see `palate.data.votes.read_votes`, as for `annotator` and `columns`.
        store: a path, or a database's URL.

    Raises:
        DataError: the file cannot be read as votes. StoreRefused: that is no place for a store.
        KeyReused: the file was exported from this store and says something else now. Nothing is imported.
    """
    file = read_votes(source, annotator=annotator, columns=columns)
    reasons = Reasons()
    for row in file.set_aside:
        reasons.add(row)
    with VoteStore(store) as opened:
        done = import_votes(opened, file.votes, source=source)
        return Import(source, opened.name, file, done, tuple(reasons.as_data()))
