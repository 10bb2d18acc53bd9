"""Preference data from any source: every row becomes a record or is set aside with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palate.data.columns import mapped_fields
from palate.data.detection import SAMPLE_ROWS, layout_of
from palate.data.excerpts import excerpt
from palate.data.gaps import refuse_pair_options_without_effect
from palate.data.kinds import RECORD_TYPES, Kind, Record
from palate.data.layouts import LAYOUTS, Converted, Ordered, Row, Sides, Single
from palate.data.messages import Unusable, text_field
from palate.data.pairing import PairRule
from palate.data.rows import RawRow, columns_of, first_rows, quoted_names
from palate.data.scalars import margin_field, weight_field
from palate.data.sources import open_rows
from palate.data.written import as_written, is_written_by_palate, without_blanks
from palate.errors import DataError, did_you_mean
from palate.recipe import SourceOptions
from palate.records import Labelled, Message, Messages, Pair, Provenance, Ranking, SetAside

__all__ = ["RecordSet", "RecordStream", "complete_prompt", "read_records", "stream_records"]


@dataclass(frozen=True, slots=True)
class RecordSet:
    """What a source gave, one record for each row kept.

    Rows in = records + rows set aside, and all records are of the layout's kind, or the set cannot be made.
    """

    records: tuple[Record, ...]
    set_aside: tuple[SetAside, ...]
    layout: str
    source: str
    num_rows: int

    def __post_init__(self) -> None:
        num_accounted = len(self.records) + len(self.set_aside)
        if self.num_rows != num_accounted:
            raise ValueError(
                f"{self.source}: {self.num_rows} rows in, {num_accounted} accounted for: rows were lost"
            )
        if not all(isinstance(record, RECORD_TYPES[self.kind]) for record in self.records):
            raise ValueError(f"{self.source}: the layout {self.layout} gives {self.kind} and nothing else")

    @property
    def kind(self) -> Kind:
        """What the rows are: `pairs`, `labels` or `rankings`."""
        return LAYOUTS[self.layout].kind


class RecordStream:
    """The records of a source and the rows set aside, in order, one at a time: `for item in stream`.

    It can be gone through again and again, each time from the first row; what it holds in memory does not
    grow with the source. The layout is known at once, `num_rows` after the last row.
    """

    def __init__(self, options: SourceOptions, system: str | None = None, name: str | None = None) -> None:
        self.options = options
        self.name = name
        self.system = system
        sample, is_all = first_rows(open_rows(options), SAMPLE_ROWS)
        if not sample:
            raise DataError("there are no rows", where=options.source, next="name a source that holds some")
        self.layout: str = layout_of(sample, options)
        self._standing = _standing_columns(sample, options) if self.layout == "ranking" else ()
        self._all_rows = sample if is_all else None
        self.num_rows: int | None = None if self._all_rows is None else len(sample)
        """How many rows there are; None while that is not known."""
        _refuse_options_without_effect(options, self.layout)
        refuse_pair_options_without_effect(options, self.layout, sample)
        if self._all_rows is not None:
            _refuse_absent_columns(options, columns_of(sample))

    @property
    def source(self) -> str:
        """Where the rows come from, as accounts say it."""
        return self.name or self.options.source

    @property
    def kind(self) -> Kind:
        """What the rows are: `pairs`, `labels` or `rankings`."""
        return LAYOUTS[self.layout].kind

    def __iter__(self) -> Iterator[Record | SetAside]:
        """Each row's record, or the row set aside.

        Raises:
            DataError: the source breaks off, or a column that an option names was in no row.
        """
        wanted = {c for c in (self.options.margin_column, self.options.weight_column) if c is not None}
        missing, seen = set(wanted), dict[str, None]()
        number = 0
        for number, raw in enumerate(self._rows(), 1):
            if missing:
                missing.difference_update(raw.fields)
                if number <= SAMPLE_ROWS:
                    seen.update(dict.fromkeys(columns_of([raw])))
            yield self._converted(raw, number - 1)
        self.num_rows = number
        if missing:
            _refuse_absent_columns(self.options, [column for column in seen if column not in missing])

    def _rows(self) -> Iterator[RawRow]:
        return open_rows(self.options) if self._all_rows is None else iter(self._all_rows)

    def _converted(self, raw: RawRow, position: int) -> Record | SetAside:
        options, ratio = self.options, self.options.support_ratio
        try:
            if raw.problem:
                raise Unusable(raw.problem)
            # Columns that are named may turn a pair round: what was written of it would then be untrue.
            is_ours = options.columns is None and is_written_by_palate(raw.fields)
            given = without_blanks(raw.fields) if is_ours else raw.fields
            fields = mapped_fields(given, options.columns)
            if self._standing and not is_ours and not any(name in fields for name in self._standing):
                fields = {**fields, self._standing[0]: None}  # left out is null, as many write it
            row = Row(fields, position, self._rows_to_divide(), 1.0 if ratio is None else ratio)
            said = LAYOUTS[self.layout].convert(row)
            record = _record(said, complete_prompt(said.prompt, fields, self.system), raw, options)
            return as_written(record, raw.fields, options) if is_ours else record
        except Unusable as reason:
            return SetAside(options.source, raw.line, str(reason), raw.excerpt, reason.code)

    def count_rows(self) -> int:
        """How many rows there are; where that is not known, they are gone through once, unread."""
        if self.num_rows is None:
            self.num_rows = sum(1 for _ in open_rows(self.options))
        return self.num_rows

    def _rows_to_divide(self) -> int:
        return 1 if self.options.support_ratio is None else self.count_rows()


def _standing_columns(rows: Sequence[RawRow], options: SourceOptions) -> tuple[str, ...]:
    """Which columns give rankings here their order: a row without is not best first all of a sudden."""
    mapped = [mapped_fields(row.fields, options.columns) for row in rows]
    return tuple(name for name in ("ranks", "scores") if any(name in fields for fields in mapped))


def stream_records(
    options: SourceOptions, *, system: str | None = None, name: str | None = None
) -> RecordStream:
    """The records of a source one at a time, for data larger than memory.

    `system` is put before every prompt that has no system message. `name` is what accounts call the source,
    where that is not what `options` call it.

    Raises:
        DataError: as `read_records`; what is wrong further down is raised where it is met.
    """
    return RecordStream(options, system, name)


def read_records(options: SourceOptions, *, system: str | None = None) -> RecordSet:
    """The records of a source, in the order of its rows, all of them in memory.

    `system` is put before every prompt that has no system message.

    Raises:
        DataError: the source cannot be read, its layout cannot be told, an option has no effect on that
            layout, or a column that an option names is in no row. A bad row is never an error: it stands in
            `set_aside`.
    """
    stream = stream_records(options, system=system)
    results = list(stream)
    return RecordSet(
        records=tuple(result for result in results if not isinstance(result, SetAside)),
        set_aside=tuple(result for result in results if isinstance(result, SetAside)),
        layout=stream.layout,
        source=options.source,
        num_rows=len(results),
    )


def _refuse_options_without_effect(options: SourceOptions, layout: str) -> None:
    """What a recipe cannot know before the layout is told."""
    if options.support_ratio is not None and layout != "stance":
        raise DataError(
            f"support_ratio = {options.support_ratio:g} has no effect: the layout of these rows is {layout}",
            where=options.source,
            why='it belongs to the layout "stance" (prompt, support, oppose)',
            next="drop support_ratio, or name the layout",
        )
    if options.margin_column is not None and LAYOUTS[layout].kind != "pairs":
        raise DataError(
            f'margin_column = "{excerpt(options.margin_column)}" has no effect: '
            f"the layout of these rows is {layout}",
            where=options.source,
            why="a margin is by how much chosen is better than rejected: only pairs have one",
            next="drop margin_column, or name the layout",
        )


def _refuse_absent_columns(options: SourceOptions, columns: list[str]) -> None:
    """Rows without the column are set aside; where no row has it, its name is what is wrong."""
    for option, name in (("margin_column", options.margin_column), ("weight_column", options.weight_column)):
        if name is None or name in columns:
            continue
        raise DataError(
            f'{option} = "{excerpt(name)}": no row has this column.{did_you_mean(name, columns)}',
            where=options.source,
            why=f"columns seen: {quoted_names(columns)}",
            next=f"name one of them, or drop {option}",
        )


def _record(said: Converted, prompt: Messages, raw: RawRow, options: SourceOptions) -> Record:
    """The record, if it is one that can be learned from."""
    _check_completions(said)
    column = options.weight_column
    weight = 1.0 if column is None else weight_field(raw.fields, column)
    detail = {**_place_in_tree(raw.fields), **said.detail}
    if isinstance(said, Sides) and said.gap is not None:
        detail["gap"] = said.gap
    provenance = Provenance(options.source, raw.line, detail)
    match said:
        case Single():
            return Labelled(prompt, said.completion, said.desirable, provenance, weight)
        case Ordered():
            return Ranking(prompt, said.completions, provenance, weight, said.scores)
    if said.chosen == said.rejected:
        raise Unusable("chosen and rejected are identical", "identical_pair")
    margin = None
    if options.min_gap is not None or options.score_margin:
        margin = PairRule.of(options).margin_of(said.gap)
    if options.margin_column is not None:
        margin = margin_field(raw.fields, options.margin_column)
    return Pair(prompt, said.chosen, said.rejected, provenance, margin, weight)


def _place_in_tree(fields: Mapping[str, Any]) -> dict[str, str]:
    """The split, and the category within it, that a row of a nested file stood under."""
    if not isinstance(fields.get("split"), str):
        return {}
    return {name: fields[name] for name in ("split", "category") if isinstance(fields.get(name), str)}


def _check_completions(said: Converted) -> None:
    match said:
        case Sides():
            _check_completion("the chosen completion", said.chosen)
            _check_completion("the rejected completion", said.rejected)
        case Single():
            _check_completion("the completion", said.completion)
        case Ordered():
            for place, completion in enumerate(said.completions, 1):
                _check_completion(f"the completion ranked {place}", completion)


def complete_prompt(prompt: Messages, fields: Mapping[str, Any], system: str | None) -> Messages:
    """The prompt, if there is something to answer, with a system message.

    That is its own, or the one in the row's `system` column, or else `system`. Many layouts have that
    column beside the prompt; to overlook it would train on another prompt.
    """
    prompt = _usable(prompt)
    column = fields.get("system")
    if column is None or (isinstance(column, str) and not column.strip()):
        return _with_system(prompt, system)
    text = text_field(fields, "system")
    if any(message.role == "system" and message.content.strip() != text.strip() for message in prompt):
        raise Unusable('"system" says something else than the system message in the row')
    return _with_system(prompt, text)


def _with_system(prompt: Messages, system: str | None) -> Messages:
    if system is None or any(message.role == "system" for message in prompt):
        return prompt
    return (Message("system", system), *prompt)


def _usable(prompt: Messages) -> Messages:
    # An empty system message says what no system message says, and would keep `system` from being added.
    prompt = tuple(m for m in prompt if m.role != "system" or m.content.strip())
    said = [message for message in prompt if message.role != "system"]
    if not said:
        raise Unusable("there is no prompt")
    if not said[-1].content.strip():
        raise Unusable("the prompt is empty")
    if prompt[-1].role in ("assistant", "system"):
        raise Unusable(f"the prompt ends with a turn of {prompt[-1].role}, there is nothing to answer")
    return prompt


def _check_completion(name: str, completion: Messages) -> None:
    if not completion:
        raise Unusable(f"{name} is empty: it only repeats the prompt", "empty_side")
    if completion[0].role != "assistant":
        raise Unusable(f"{name} starts with a {completion[0].role} turn")
    if completion[-1].role != "assistant":
        raise Unusable(f"{name} ends with a {completion[-1].role} turn, not with the assistant's")
    if any(message.role == "assistant" and not message.content.strip() for message in completion):
        raise Unusable(f"{name} is empty", "empty_side")
