"""From the records a recipe names to the examples it trains on and those it holds out."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

import numpy as np

from palate.data import PairRule, Record, RecordSet, RecordStream, records_as, stream_records
from palate.data.kinds import Kind
from palate.data.split import num_prompts_held_out
from palate.engine import Renderer
from palate.errors import DataError, RecipeError
from palate.recipe import Recipe, SourceOptions
from palate.records import SetAside
from palate.train.example_set import Asides, ExampleSet, write_records
from palate.train.examples import Examples
from palate.train.mismatched import mismatched_of, refuse_one_prompt, write_mismatched
from palate.train.token_key import content_hash, local_file, mismatched_key, table_key
from palate.train.token_store import Fill, table_made_once
from palate.train.token_table import TableWriter, TokenTable, table_in_memory
from palate.watcher import Watcher

__all__ = ["Records", "encode_data"]

Records = RecordSet | RecordStream
"""What a training can be given: records in memory, or a source that is gone through once."""

_NOTE_EVERY = 100_000


def encode_data(
    recipe: Recipe,
    train_records: Records,
    eval_records: Records | None,
    renderer: Renderer,
    watcher: Watcher | None = None,
) -> tuple[ExampleSet, ExampleSet]:
    """The examples to train on and the held-out ones, which may be none.

    A source is tokenised once on a machine, into a table that later runs find (`token_store.py`); records in
    memory are tokenised in memory.

    Raises:
        RecipeError: the objective learns from something else. DataError: nothing is left to train or to
        evaluate on, a record is too long where that is an error, a file changed while it was read, or a KL
        estimate has but one prompt.
        ArtifactError: the disk has no room for the tokens.
    """
    kind = recipe.objective.data
    if kind == "groups":
        raise RecipeError(f"objective {recipe.objective.type} learns from its own samples, not from records")
    encoder = _Encoder(recipe, kind, renderer, watcher or Watcher())
    table = encoder.table_of(train_records, recipe.data.train)
    if eval_records is None:
        is_held_out = _is_held_out(table, recipe.data.eval_fraction)
        train_set, eval_set = (
            ExampleSet(table, np.flatnonzero(side)) for side in (~is_held_out, is_held_out)
        )
        _refuse_none_left(train_set, "train", recipe.data.train.source)
    else:
        eval_source = recipe.data.eval or SourceOptions(source=eval_records.source)
        held_out = encoder.table_of(eval_records, eval_source)
        train_set, eval_set = (ExampleSet(t, np.arange(len(t.entries))) for t in (table, held_out))
        _refuse_none_left(train_set, "train", recipe.data.train.source)
        trained_on = train_set.examples.column("prompt")
        eval_set.set_aside_prompts(trained_on, "not held out: its prompt is trained on")
        _refuse_none_left(eval_set, "evaluate", eval_source.source)
    if recipe.objective.needs_kl:
        for found in (train_set, eval_set):
            if found.examples:
                found.examples = encoder.with_mismatched(found.examples)
    return train_set, eval_set


class _Encoder:
    """Makes tables, kept where what they are made from has a name."""

    def __init__(self, recipe: Recipe, kind: Kind, renderer: Renderer, watcher: Watcher) -> None:
        self.recipe = recipe
        self.kind = kind
        self.renderer = renderer
        self.watcher = watcher

    def table_of(self, found: Records, source: SourceOptions) -> TokenTable:
        """The records as the objective takes them, as tokens."""
        with_completions = self.recipe.objective.needs_kl
        if isinstance(found, RecordSet):
            return _in_memory(partial(self._write, found, source), with_completions)
        content = content_hash(found)
        # Opened again: what was read of a file before its hash was taken may be of an earlier content.
        stream = stream_records(found.options, system=found.system, name=found.name)
        key = table_key(
            stream, content, self.kind, self.renderer, self.recipe.data, with_completions=with_completions
        )
        file = local_file(found.options.source)

        def fill(writer: TableWriter) -> None:
            self._write(stream, source, writer)
            if file is not None:
                _refuse_changed(stream, content)

        table = table_made_once(
            key,
            fill,
            self.watcher,
            with_completions=with_completions,
            num_bytes=file.stat().st_size if file is not None and found.options.limit is None else 0,
        )
        return replace(
            table, name=key, sources=(found.options.source,)
        )  # another path may have had this content

    def _write(self, found: Records, source: SourceOptions, writer: TableWriter) -> None:
        rows = _converted(self._noted(found), self.kind, source)
        write_records(writer, rows, self.renderer, self.recipe.data)

    def with_mismatched(self, examples: Examples) -> Examples:
        """The examples, each with a completion of another prompt besides."""
        refuse_one_prompt(examples, self.recipe.data.train.source)

        def fill(writer: TableWriter) -> None:
            write_mismatched(writer, examples, self.renderer, self.recipe.data)

        if not examples.table.name:
            return mismatched_of(examples, _in_memory(fill, False))
        key = mismatched_key(examples.table.name, examples.places.tobytes())
        return mismatched_of(examples, table_made_once(key, fill, self.watcher))

    def _noted(self, found: Records) -> Iterator[Record | SetAside]:
        rows = chain(found.set_aside, found.records) if isinstance(found, RecordSet) else found
        for number, row in enumerate(rows, 1):
            if number % _NOTE_EVERY == 0:
                self.watcher.note(f"{number:,} rows read and tokenised")
            yield row


def _converted(
    rows: Iterator[Record | SetAside], kind: Kind, source: SourceOptions
) -> Iterator[tuple[Record, Sequence[Record]] | SetAside]:
    """Each record with those of `kind` that it is; each by itself, so that none waits for the others."""
    rule = PairRule.of(source)
    for row in rows:
        yield (
            row
            if isinstance(row, SetAside)
            else (
                row,
                records_as((row,), kind, where=source.source, rule=rule),
            )
        )


def _refuse_changed(found: RecordStream, content: str) -> None:
    """Keep no tokens under a hash that the file they came from no longer has, or never had.

    Raises:
        DataError: it has another one now.
    """
    if local_file(found.options.source) is None or content_hash(found) != content:
        raise DataError(
            "the file changed while it was read",
            where=found.options.source,
            why="some of its rows may be of the earlier content and some of the later",
            next="run the same again when nothing writes to it",
        )


def _in_memory(fill: Fill, with_completions: bool) -> TokenTable:
    tokens, texts = io.BytesIO(), io.BytesIO()
    writer = TableWriter(tokens, texts, with_completions=with_completions)
    fill(writer)
    return table_in_memory(writer, tokens, texts)


def _is_held_out(table: TokenTable, fraction: float) -> np.ndarray:
    """[entries] bool: whether its prompt is held out, as `palate.data.split_by_prompt` says."""
    prompts = table.prompts
    order = np.lexsort((prompts["id"], prompts["rank"]))
    held_out = prompts["id"][order[: num_prompts_held_out(len(prompts), fraction)]]
    return np.isin(table.entries["prompt"], held_out)


def _refuse_none_left(found: ExampleSet, use: str, source: str) -> None:
    if found.examples:
        return
    every = Asides.of(found.table.asides, found.table) + found.set_aside
    reasons = [f"{count} x {reason}" for reason, count, _ in every.by_reason()]
    raise DataError(
        f"nothing is left to {use} on",
        where=source,
        why="; ".join(reasons[:3]),
        next="palate data inspect shows the rows; data.max_length bounds how long one may be",
    )
