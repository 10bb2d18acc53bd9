"""Files of people's votes: Palate's own, anybody's table of two sides and a choice, and preference data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from palate.data.comparisons import (
    COMPARISON_COLUMNS,
    check_output,
    comparison_of_row,
    comparison_row,
    write_message_rows,
)
from palate.data.detection import claimed_layout
from palate.data.files import read_file
from palate.data.judgeable import blind
from palate.data.kinds import records_as
from palate.data.messages import Unusable, completion_field, prompt_field
from palate.data.reading import read_records
from palate.data.rows import RawRow, columns_of, quoted_names
from palate.data.scalars import number_of
from palate.data.vote_columns import Choice, VoteColumns, choice_in, find_columns, foreign_number
from palate.errors import CallError, DataError
from palate.recipe import SourceOptions
from palate.records import Comparison, Message, Messages, Provenance, SetAside, Vote, content_id

__all__ = ["VOTE_COLUMNS", "VoteFile", "read_votes", "write_votes"]

VOTE_COLUMNS = (
    "id", *COMPARISON_COLUMNS, "generator_a", "generator_b", "task", "annotator", "kind", "preferred",
    "repeat", "left", "note", "seconds", "created_at", "came_from", "key", "provenance",
)  # fmt: skip
"""Those of a comparison, and of a vote: who voted; `vote`, or `adjudicate` for the last word; `a`, `b`, `tie`
or `both_bad`; 1 where the item was shown for the second time; which side stood on the left; a note; the
seconds taken; when; the file it was imported from; the key by which the store knows it again."""

_OWN = (*COMPARISON_COLUMNS, "annotator", "kind", "preferred")
_DETAIL = ("task", "kind", "repeat", "left", "seconds", "created_at", "came_from", "key")

_MAX_NAME_LENGTH, _MAX_NOTE_LENGTH = 200, 100_000
"""What a store of votes takes. One longer name is a row set aside, and not a file refused."""

_KNOWN: Mapping[str, tuple[str | None, ...]] = {
    "preferred": get_args(Choice),
    "kind": ("vote", "adjudicate"),
    "left": ("a", "b", None),
    "task": ("label", "compare"),
}


@dataclass(frozen=True, slots=True)
class VoteFile:
    """What a file of votes gave. Rows in = rows kept + rows set aside."""

    votes: tuple[Vote, ...]
    """In the file's order. The detail has `line`, `repeat` (0; 1 for an annotator's second vote on the same
    comparison), `kind`, `task` and a `key` that is the same whenever the file is read."""
    set_aside: tuple[SetAside, ...]
    source: str
    layout: str
    """`votes` (Palate's own), `two sides`, or the layout of the preference data."""
    num_rows: int
    num_kept: int
    """Rows with a vote: of a ranking one row is several votes."""
    has_prompts: bool
    columns: VoteColumns | None = field(default=None)
    """Of two sides: what was read from which column."""

    @property
    def num_repeated(self) -> int:
        """Votes on a comparison that the same annotator had voted on further up."""
        return sum(vote.detail["repeat"] > 0 for vote in self.votes)


def write_votes(votes: Iterable[Vote], path: str | Path) -> int:
    """One vote a row, into `.jsonl` or `.parquet`, and how many; an older file is replaced in one step.

    Raises:
        DataError: the name says no such format. ArtifactError: it cannot be written.
    """
    check_output(path)
    rows = [_row(vote) for vote in votes]
    write_message_rows(rows, VOTE_COLUMNS, path)
    return len(rows)


def _row(vote: Vote) -> dict[str, Any]:
    generator_a, generator_b = vote.comparison.generators
    said = {
        **comparison_row(vote.comparison),
        "generator_a": generator_a,
        "generator_b": generator_b,
        "annotator": vote.annotator,
        "preferred": vote.preferred,
        "note": vote.note,
        **{name: vote.detail.get(name) for name in _DETAIL},
    }
    return {name: said[name] for name in VOTE_COLUMNS}


def read_votes(
    path: str, *, annotator: str | None = None, columns: Mapping[str, str] | None = None
) -> VoteFile:
    """The votes of a file, in the order of its rows.

    Args:
        path: JSON, JSONL, CSV or Parquet, also gzipped.
        annotator: whose votes these are, where the file does not say it; the file's name where absent.
        columns: which column holds what (`a`, `b`, `preferred`, `prompt`, `annotator`, `note`), where the
            names of the columns do not say it.

    Raises:
        DataError: the file cannot be read, its columns cannot be told, or there are no rows. CallError: an
            annotator is named for a file that names its annotators itself.
    """
    rows = list(read_file(path))
    seen = columns_of(rows)
    if not rows:
        raise DataError("there are no rows", where=path, next="name a file that holds some")
    if not columns and all(name in seen for name in _OWN):
        _refuse_second_name(annotator, "annotator", path)
        return _numbered(path, "votes", rows, [_read(row, path, _own_vote) for row in rows])
    found = find_columns(seen, columns or {}, path)
    if found is None:
        if claimed_layout(rows, path) is None:
            raise _no_votes(path, seen)
        return _preference_data(path, annotator or _stem(path))
    _refuse_second_name(annotator, found.annotator, path)

    foreign = foreign_number((row.fields for row in rows if not row.problem), found)

    def vote(row: RawRow, path: str) -> Vote:
        return _two_sided_vote(row, path, found, annotator or _stem(path), foreign)

    return _numbered(path, "two sides", rows, [_read(row, path, vote) for row in rows], found)


def _no_votes(path: str, seen: Sequence[str]) -> DataError:
    return DataError(
        "these rows are no votes",
        where=path,
        why=f"columns seen: {quoted_names(seen)}\n"
        "        votes have two sides and a choice (title_a, title_b, title_b_preferred),\n"
        "        preference data a chosen and a rejected side",
        next="say which column holds what: --columns a=...,b=...,preferred=...,prompt=...",
    )


def _stem(path: str) -> str:
    return Path(path).name.partition(".")[0] or "imported"


def _refuse_second_name(annotator: str | None, column: str | None, path: str) -> None:
    if annotator is not None and column is not None:
        raise CallError(
            f'annotator = "{annotator}" has no effect: the file names its annotators',
            where=path,
            why=f'they stand in the column "{column}"',
            next="drop --annotator",
        )


def _read(row: RawRow, path: str, read: Callable[[RawRow, str], Vote]) -> Vote | SetAside:
    try:
        if row.problem:
            raise Unusable(row.problem)
        vote = read(row, path)
        _refuse_what_cannot_be_kept(vote)
        return vote
    except Unusable as reason:
        return SetAside(path, row.line, str(reason), row.excerpt, reason.code)


def _refuse_what_cannot_be_kept(vote: Vote) -> None:
    for what, text in (("annotator", vote.annotator), ("key", vote.detail.get("key", ""))):
        if len(text) > _MAX_NAME_LENGTH:
            raise Unusable(f"the {what} is longer than {_MAX_NAME_LENGTH} characters")
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise Unusable(f"the {what} holds characters that cannot be kept")
    if len(vote.note) > _MAX_NOTE_LENGTH:
        raise Unusable(f"the note is longer than {_MAX_NOTE_LENGTH:,} characters")


def _own_vote(row: RawRow, path: str) -> Vote:
    said = row.fields
    comparison = comparison_of_row(row, path)
    detail: dict[str, Any] = {"line": row.line} | {name: said.get(name) for name in _DETAIL}
    for name, known in _KNOWN.items():
        if said.get(name) not in known:
            raise Unusable(f'"{name}" is none of {", ".join(str(one) for one in known)}')
    for name in ("annotator", "key"):
        text = said.get(name)
        if not isinstance(text, str) or not text.strip():
            raise Unusable(f'"{name}" is no text')
    detail["repeat"] = number_of(detail["repeat"], "repeat")
    if detail["repeat"] not in range(1000):
        raise Unusable('"repeat" is no count')
    detail["repeat"] = int(detail["repeat"])
    if detail["seconds"] is not None:
        detail["seconds"] = number_of(detail["seconds"], "seconds")
        if detail["seconds"] < 0:
            raise Unusable('"seconds" is negative')
    return Vote(comparison, said["annotator"], said["preferred"], str(said.get("note") or ""), detail)


def _two_sided_vote(
    row: RawRow, path: str, columns: VoteColumns, annotator: str, foreign: str | None
) -> Vote:
    said = row.fields
    a, b = (completion_field(said, name) for name in (columns.a, columns.b))
    if a == b:
        raise Unusable("the two completions are identical", "identical_pair")
    if columns.prompt is None:
        # Each row a prompt of its own: nothing says that two of them answer the same.
        prompt: Messages = (Message("user", f"(no prompt: row {row.line})"),)
    else:
        prompt = prompt_field(said, columns.prompt)
    detail: dict[str, Any] = {} if columns.prompt else {"has_prompt": False}
    if columns.models is not None:
        detail |= {side: {"model": name} for side, name in zip("ab", columns.models, strict=True)}
    if columns.annotator is not None:
        annotator = str(said.get(columns.annotator) or "").strip()
        if not annotator:
            raise Unusable(f'"{columns.annotator}" is empty')
    comparison = Comparison(prompt, a, b, Provenance(path, row.line, detail))
    note = said.get(columns.note) if columns.note else None
    task = "label" if columns.models is None else "compare"
    return Vote(
        comparison,
        annotator,
        choice_in(said, columns, foreign),
        str(note or ""),
        {"line": row.line, "task": task},
    )


def _preference_data(path: str, annotator: str) -> VoteFile:
    """The choices of a preference dataset, in any layout, as the votes of one annotator."""
    found = read_records(SourceOptions(source=path))
    _, votes = blind(records_as(found.records, "pairs", where=path), annotator=annotator)
    given = [_with(vote, line=vote.comparison.provenance.line, task="label") for vote in votes]
    made = _numbered(path, found.layout, (), [*given, *found.set_aside])
    return VoteFile(
        made.votes, made.set_aside, path, found.layout, found.num_rows, len(found.records), has_prompts=True
    )


def _numbered(
    path: str,
    layout: str,
    rows: Sequence[RawRow],
    read: Sequence[Vote | SetAside],
    columns: VoteColumns | None = None,
) -> VoteFile:
    """Give each vote its repeat and its key, unless it has them."""
    digest = content_id(_hash_of(path), layout, columns and columns.named())
    num_seen: dict[tuple[str, str], int] = {}
    votes = []
    for place, vote in enumerate(one for one in read if isinstance(one, Vote)):
        if "key" in vote.detail:
            votes.append(vote)
            continue
        slot = (vote.annotator, vote.comparison.id)
        repeat = num_seen[slot] = num_seen.get(slot, -1) + 1
        votes.append(_with(vote, kind="vote", repeat=repeat, key=f"import-{digest}-{place}"))
    set_aside = tuple(one for one in read if isinstance(one, SetAside))
    has_prompts = columns is None or columns.prompt is not None
    return VoteFile(tuple(votes), set_aside, path, layout, len(rows), len(votes), has_prompts, columns)


def _with(vote: Vote, **detail: object) -> Vote:
    said = {**vote.detail, **detail}
    return Vote(vote.comparison, vote.annotator, vote.preferred, vote.note, said)


def _hash_of(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
