"""Tables of judgements in any known layout, as wins and losses of one model against others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palate.data.excerpts import excerpt
from palate.data.files import read_file
from palate.data.messages import Unusable, value_of
from palate.data.rows import RawRow, columns_of, quoted_names
from palate.data.scalars import number_of
from palate.data.verdicts import read_verdicts
from palate.data.vote_columns import find_columns
from palate.data.votes import VOTE_COLUMNS, read_votes
from palate.errors import DataError, did_you_mean
from palate.records import Comparison, Messages, SetAside, content_id

__all__ = ["Judged", "JudgementTable", "read_judgements"]

_ALPACA = ("preference", "generator_1", "generator_2")
_VERDICTS = ("completion_a", "completion_b", "judge", "preferred")


@dataclass(frozen=True, slots=True)
class Judged:
    """One judgement, as the model that is asked about sees it."""

    prompt: str
    """The prompt's id: judgements that share it are not independent."""
    score: float | None
    """1 it won, 0 it lost, 0.5 a tie, or a judge's probability between; None where there is no verdict."""
    own_text: str | None
    other_text: str | None
    """What the two sides said, where the table has it."""
    own_length: float | None
    other_length: float | None
    """In characters."""
    line: int | None


@dataclass(frozen=True, slots=True)
class JudgementTable:
    """What a file of judgements gave. Rows in = rows + rows set aside + rows about other models."""

    rows: tuple[Judged, ...]
    set_aside: tuple[SetAside, ...]
    num_other_models: int
    source: str
    layout: str
    """`alpaca_eval`, `verdicts`, `votes`, or `two sides`."""
    of: str
    """The model that is asked about."""
    against: tuple[str, ...]
    judges: tuple[str, ...]
    names_known: bool
    """False where nothing says who wrote which side, and `of` is only a side's name."""
    positions_known: bool
    """Whether the table says which side was shown first."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A judgement before anybody is asked about: of a second side against a first."""

    prompt: str
    names: tuple[str, str]
    score: float | None
    texts: tuple[str, str] | None
    lengths: tuple[float, float] | None
    line: int | None
    judge: str


def read_judgements(
    path: str,
    *,
    of: str | None = None,
    against: str | None = None,
    judge: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> JudgementTable:
    """Read a table of judgements: AlpacaEval's annotations, verdicts of `palate judge`, or people's votes.

    A vote that both are bad is a tie.

    Args:
        path: JSON, JSONL, CSV or Parquet, also gzipped.
        of: the model whose win rate is asked for; the second side where the table has an order of its own
            (AlpacaEval's generator_2, the tuned one of base_title and ft_title), else needed.
        against: only judgements against this one.
        judge: whose verdicts, where the file has those of several.
        columns: which column holds what, for people's votes whose columns do not say it.

    Raises:
        DataError: the file cannot be read, is no table of judgements, or leaves open whose win rate is meant.
    """
    raw = list(read_file(path))
    seen = columns_of(raw)
    has_order = True
    if not columns and all(name in seen for name in _ALPACA):
        layout, (rows, aside) = "alpaca_eval", _each(raw, path, _alpaca)
        has_positions = False
    elif not columns and all(name in seen for name in _VERDICTS):
        layout, (rows, aside) = "verdicts", _of_verdicts(path)
        has_order, has_positions = False, True
    elif raw and (all(name in seen for name in VOTE_COLUMNS) or find_columns(seen, columns or {}, path)):
        layout, rows, aside = _of_votes(path, columns)
        has_order, has_positions = layout != "votes", layout == "votes"
    else:
        raise DataError(
            "this is no table of judgements" if raw else "there are no rows",
            where=path,
            why=f"columns seen: {quoted_names(seen)}" if raw else "",
            next="give AlpacaEval's annotations, verdicts that palate judge wrote, or votes (two sides and "
            "NAME_preferred, or --columns a=...,b=...,preferred=...)",
        )
    rows = _of_judge(rows, judge, path)
    own, others, known = _sides(rows, of, against, has_order, path)
    chosen = [_seen_by(own, row) for row in rows if own in row.names and others & set(row.names)]
    return JudgementTable(
        tuple(chosen),
        tuple(aside),
        len(rows) - len(chosen),
        path,
        layout,
        own,
        tuple(sorted(others)),
        tuple(sorted({row.judge for row in rows if row.judge})),
        known,
        has_positions,
    )


def _each(
    raw: Sequence[RawRow], path: str, read: Callable[[RawRow], _Row]
) -> tuple[list[_Row], list[SetAside]]:
    rows: list[_Row] = []
    aside: list[SetAside] = []
    for row in raw:
        try:
            if row.problem:
                raise Unusable(row.problem)
            rows.append(read(row))
        except Unusable as reason:
            aside.append(SetAside(path, row.line, str(reason), row.excerpt))
    return rows, aside


def _alpaca(row: RawRow) -> _Row:
    """`preference` runs from 1, the first is better, to 2; 1.5, and 0 in older files, is a tie."""
    said = row.fields
    names = (str(value_of(said, "generator_1")), str(value_of(said, "generator_2")))
    score: float | None = None
    if said.get("preference") is not None:
        preference = number_of(said["preference"], "preference")
        score = 0.5 if preference == 0 else preference - 1
        if not 0 <= score <= 1:
            raise Unusable(f'"preference" is {preference:g}: it lies between 1 and 2')
    texts = _two(said, "output_1", "output_2", str)
    lengths = _two(said, "chars_1", "chars_2", float)
    if lengths is None and texts is not None:
        lengths = tuple(float(len(text)) for text in texts)
    asked = said.get("instruction", said.get("instruction_id", row.line))
    judge = said.get("annotator")
    return _Row(
        content_id(str(asked)),
        names,
        score,
        texts,
        lengths,
        row.line,
        judge if isinstance(judge, str) else "",
    )


def _two(said: Mapping[str, Any], first: str, second: str, kind: type) -> Any:
    """Both as their kind, or None where one is absent."""
    if said.get(first) is None or said.get(second) is None:
        return None
    return tuple(number_of(said[n], n) if kind is float else str(said[n]) for n in (first, second))


def _of_verdicts(path: str) -> tuple[list[_Row], list[SetAside]]:
    verdicts, aside = read_verdicts(path)
    scores = {"a": 0.0, "b": 1.0, "tie": 0.5}
    rows = [
        _of_comparison(v.comparison, None if v.preferred is None else scores[v.preferred], v.judge)
        for v in verdicts
    ]
    return rows, list(aside)


def _of_votes(path: str, columns: Mapping[str, str] | None) -> tuple[str, list[_Row], list[SetAside]]:
    found = read_votes(path, columns=columns)
    scores = {"a": 0.0, "b": 1.0, "tie": 0.5, "both_bad": 0.5}
    # An adjudication is no further witness, and a second look of one person neither.
    counted = [v for v in found.votes if v.detail["kind"] == "vote" and not v.detail["repeat"]]
    rows = [_of_comparison(v.comparison, scores[v.preferred], "") for v in counted]
    return found.layout, rows, list(found.set_aside)


def _of_comparison(comparison: Comparison, score: float | None, judge: str) -> _Row:
    texts = (_text(comparison.completion_a), _text(comparison.completion_b))
    a, b = comparison.generators
    return _Row(
        comparison.prompt_id,
        (a, b) if a is not None and b is not None else ("a", "b"),
        score,
        texts,
        (float(len(texts[0])), float(len(texts[1]))),
        comparison.provenance.line,
        judge,
    )


def _text(completion: Messages) -> str:
    return "\n".join(message.content for message in completion)


def _of_judge(rows: list[_Row], judge: str | None, path: str) -> list[_Row]:
    names = sorted({row.judge for row in rows if row.judge})
    if judge is None and len(names) < 2:
        return rows
    if judge is None:
        raise DataError(
            f"one file with the verdicts of {len(names)} judges: {', '.join(excerpt(n, 40) for n in names)}",
            where=path,
            why="the same comparison would be counted once for each",
            next="name one: --judge NAME",
        )
    if judge not in names:
        known = ", ".join(excerpt(name, 40) for name in names) or "no judge is named in it"
        raise DataError(
            f'"{excerpt(judge, 60)}": no such judge in the file.{did_you_mean(judge, names)}',
            where=path,
            next=f"judges: {known}",
        )
    return [row for row in rows if row.judge == judge]


def _sides(
    rows: Sequence[_Row], of: str | None, against: str | None, has_order: bool, path: str
) -> tuple[str, set[str], bool]:
    """Whose win rate, against whom, and whether these are names of models."""
    times = Counter(name for row in rows for name in set(row.names))
    known = bool(times) and set(times) != {"a", "b"}
    for name, value in (("of", of), ("against", against)):
        if value is not None and value not in times:
            raise DataError(
                f'{name} = "{excerpt(value, 60)}": no such model in the table.{did_you_mean(value, times)}',
                where=path,
                next=f"models: {', '.join(excerpt(one, 40) for one in sorted(times))}",
            )
    if of is not None and of == against:
        raise DataError(f'"{excerpt(of, 60)}" against itself', where=path, next="name two models")
    if not times:
        return of or "b", {against or "a"}, False
    if of is None:
        seconds = {row.names[1] for row in rows}
        if (has_order or not known) and len(seconds) == 1:
            of = next(iter(seconds))
        elif against is not None and len(times) == 2:
            of = next(name for name in times if name != against)
        else:
            raise DataError(
                "it is open whose win rate is meant",
                where=path,
                why=f"models: {', '.join(excerpt(one, 40) for one in sorted(times))}",
                next="name one: --of NAME",
            )
    others = {against} if against is not None else set(times) - {of}
    return of, others, known


def _seen_by(own: str, row: _Row) -> Judged:
    is_second = row.names[1] == own
    score = row.score if row.score is None or is_second else 1 - row.score
    turn = 1 if is_second else -1
    texts = row.texts[::turn] if row.texts is not None else (None, None)
    lengths = row.lengths[::turn] if row.lengths is not None else (None, None)
    return Judged(row.prompt, score, texts[1], texts[0], lengths[1], lengths[0], row.line)
