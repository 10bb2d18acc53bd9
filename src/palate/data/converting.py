"""One file of preference data into another: any layout in, clean records out, nothing held in memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

from palate.data.kinds import Kind, Record, records_as
from palate.data.pairing import EACH_WITH_EACH, PairRule, pairs_of_ranking
from palate.data.reading import RecordStream, stream_records
from palate.data.reasons import Reasons
from palate.data.writing import Written, refuse_unwritable, write_records
from palate.durable import new_file, scratch_file
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import Ranking, SetAside

__all__ = ["Conversion", "convert_source", "refuse_to_overwrite", "set_aside_line", "set_aside_path"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a source gave. Rows in = rows kept + rows set aside; a row kept may be several records."""

    source: str
    layout: str
    kind: Kind
    """What the records written are."""
    num_rows: int
    num_kept: int
    num_set_aside: int
    num_tied: int
    """Comparisons of a ranking that make no pair because the two tie."""
    num_below_gap: int
    """Comparisons that make no pair because their scores are nearer than the least difference."""
    written: Written | None
    """None where there was nothing to write, and no file is there."""
    set_aside_file: Path | None
    reasons: tuple[dict[str, Any], ...]

    def as_data(self) -> dict[str, Any]:
        """All of it as plain data."""
        written = self.written
        return {
            "source": self.source,
            "layout": self.layout,
            "kind": self.kind,
            "num_rows": self.num_rows,
            "num_kept": self.num_kept,
            "num_set_aside": self.num_set_aside,
            "num_tied": self.num_tied,
            "num_below_gap": self.num_below_gap,
            "out": None if written is None else str(written.path),
            "num_written": 0 if written is None else written.num_records,
            "columns": [] if written is None else list(written.columns),
            "set_aside_file": None if self.set_aside_file is None else str(self.set_aside_file),
            "set_aside": list(self.reasons),
        }


def set_aside_path(out: Path) -> Path:
    """The file beside `out` that lists the rows set aside: `pairs.set_aside.jsonl` for `pairs.jsonl.gz`."""
    name = out.name.removesuffix(".gz")
    return out.with_name(f"{name.rpartition('.')[0]}.set_aside.jsonl")


def convert_source(
    options: SourceOptions,
    out: Path,
    *,
    kind: Kind | None = None,
    system: str | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write a source's records into `out`, and the rows set aside into a file beside it.

    `kind` makes pairs, labels or rankings of them where the data says so; rankings become pairs by the rule
    of the options. `system` is put before every prompt that has no system message. Both files are there
    whole or not at all, and neither is there for nothing.

    Raises:
        DataError: the source cannot be read, the kind cannot be told from it, `out` is there already or has
            an ending that is not written, or an option has no effect. ArtifactError: a file cannot be
            written.
    """
    if system is not None and not system.strip():
        raise DataError("the system message is empty", where="--system", next="drop it, or say something")
    refuse_unwritable(out)
    rest = set_aside_path(out)
    refuse_to_overwrite(options.source, (out, rest), allowed=overwrite)
    stream = stream_records(options, system=system)
    work = _Work(stream, kind or stream.kind, PairRule.of(options))
    with scratch_file(rest) as (file, _):
        records = work.records(file)
        first = next(records, None)
        written = None if first is None else write_records(chain([first], records), out)
        if work.reasons.num_rows:
            _publish(file, rest)
        else:
            rest.unlink(missing_ok=True)
    return work.account(written, rest if work.reasons.num_rows else None)


def _publish(scratch: IO[bytes], path: Path) -> None:
    scratch.seek(0)
    with new_file(path) as file:
        shutil.copyfileobj(scratch, file)


class _Work:
    """The records on their way, and what is counted as they go by."""

    def __init__(self, stream: RecordStream, kind: Kind, rule: PairRule) -> None:
        self._stream = stream
        self._kind = kind
        self._rule = rule
        self.reasons = Reasons()
        self._num_kept = self._num_tied = self._num_below_gap = 0
        _refuse_what_cannot_be(stream, kind, rule)

    def records(self, set_aside: IO[bytes]) -> Iterator[Record]:
        """The records; each row set aside becomes a line of the file."""
        for item in self._stream:
            if isinstance(item, SetAside):
                self.reasons.add(item)
                set_aside.write(set_aside_line(item))
            else:
                self._num_kept += 1
                yield from self._made_of(item)

    def _made_of(self, record: Record) -> Iterator[Record]:
        if self._kind == self._stream.kind:
            yield record
        elif isinstance(record, Ranking):
            made = pairs_of_ranking(record, self._rule, where=self._stream.source)
            self._num_tied += made.num_tied
            self._num_below_gap += made.num_below_gap
            yield from made.pairs
        else:
            yield from records_as([record], self._kind, where=self._stream.source)

    def account(self, written: Written | None, set_aside_file: Path | None) -> Conversion:
        return Conversion(
            source=self._stream.source,
            layout=self._stream.layout,
            kind=self._kind,
            num_rows=self._num_kept + self.reasons.num_rows,
            num_kept=self._num_kept,
            num_set_aside=self.reasons.num_rows,
            num_tied=self._num_tied,
            num_below_gap=self._num_below_gap,
            written=written,
            set_aside_file=set_aside_file,
            reasons=tuple(self.reasons.as_data()),
        )


def set_aside_line(row: SetAside) -> bytes:
    """A row set aside as a line of the file that lists them."""
    said = {"place": row.place, "line": row.line, "reason": row.reason, "excerpt": row.excerpt}
    return json.dumps(said, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _refuse_what_cannot_be(stream: RecordStream, kind: Kind, rule: PairRule) -> None:
    if stream.kind == kind == "rankings" and rule != EACH_WITH_EACH:
        raise DataError(
            "pair_rule, min_gap and score_margin have no effect: rankings stay rankings",
            where=stream.source,
            next="drop them, or ask for pairs (--kind pairs)",
        )
    if kind == stream.kind or (stream.kind, kind) in _POSSIBLE:
        return
    raise DataError(
        f"these are {stream.kind}, which cannot become {kind}",
        where=stream.source,
        why=_WHY[stream.kind],
        next=f"write them as {stream.kind}, or name data that says more",
    )


_POSSIBLE = {("pairs", "labels"), ("pairs", "rankings"), ("rankings", "pairs")}
_WHY: dict[Kind, str] = {
    "labels": "a label judges one completion by itself and compares it with none",
    "rankings": "a ranking says which completion is better, and of none that it is good or bad",
}


def refuse_to_overwrite(
    source: str, paths: tuple[Path, ...], *, allowed: bool, called: str = "source"
) -> None:
    """Refuse to write into any of the paths. `called` is what the source is to the caller.

    Raises:
        DataError: one is the source, a folder, or there already where that is not allowed.
    """
    for path in paths:
        if _is_same_file(source, path):
            raise DataError(
                f"this is the {called} itself", where=str(path), next="write into a file of another name"
            )
        if path.is_dir():
            raise DataError("this is a folder, the name of a file was expected", where=str(path))
        if path.exists() and not allowed:
            raise DataError(
                "this file is there already",
                where=str(path),
                next="name another one, or add --overwrite to have a new one in its place",
            )


def _is_same_file(source: str, path: Path) -> bool:
    try:
        return Path(source).expanduser().samefile(path)
    except (OSError, ValueError, RuntimeError):  # one of them is not there, or is no name of a file
        return False
