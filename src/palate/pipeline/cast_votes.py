"""People's votes as evidence, from wherever they are: a file, or a store that people vote into."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from palate.annotate.ballots import Ballots
from palate.annotate.exporting import cast_votes
from palate.annotate.store import VoteStore
from palate.data.votes import read_votes
from palate.errors import DataError
from palate.records import Vote

__all__ = ["read_cast_votes", "rows_without_votes"]

_WANTED = (
    "name the store that palate annotate votes into, what its export --votes wrote, or a table of two sides "
    "and NAME_preferred; of other columns palate annotate import makes a store"
)
_SQLITE = b"SQLite format 3\x00"


def read_cast_votes(source: str) -> tuple[Vote, ...]:
    """The votes that count: each person's first on a comparison, or the last word where somebody had it.

    Args:
        source: a store's path or URL, or a file of votes as `palate.data.votes.read_votes` takes it.

    Raises:
        DataError: the file cannot be read as votes. StoreRefused: there is no such store.
        StoreUnavailable: it cannot be read.
    """
    if not _is_store(source):
        return _counting(_of_file(source))
    with VoteStore(source, must_exist=True) as opened:
        return _counting(cast_votes(Ballots(opened.events()), opened.items()))


def rows_without_votes(source: str) -> list[str]:
    """In words, how many rows of a file hold no vote. A store has none: its votes were checked as cast."""
    aside = () if _is_store(source) else read_votes(source).set_aside
    if not aside:
        return []
    rows = "1 row holds" if len(aside) == 1 else f"{len(aside):,} rows hold"
    return [f"{rows} no vote, the first at {aside[0].place}: {aside[0].reason}."]


def _of_file(source: str) -> tuple[Vote, ...]:
    """Errors say what may be named here: whoever compares has no --columns, and may have meant a store."""
    if not Path(source).expanduser().exists():
        raise DataError("no such file, nor a store", where=f"votes = {source}", next=_WANTED)
    try:
        return read_votes(source).votes
    except DataError as error:
        if "no format" not in error.what and "--columns" not in (error.next or ""):
            raise
        raise DataError(error.what, where=error.where, why=error.why, next=_WANTED) from None


def _is_store(source: str) -> bool:
    if "://" in source:
        return True
    path = Path(source).expanduser()
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _counting(votes: Iterable[Vote]) -> tuple[Vote, ...]:
    first = [vote for vote in votes if not vote.detail.get("repeat")]
    settled = {vote.comparison.id for vote in first if vote.detail.get("kind") == "adjudicate"}
    return tuple(
        vote for vote in first if vote.comparison.id not in settled or vote.detail.get("kind") == "adjudicate"
    )
