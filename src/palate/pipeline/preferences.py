"""Preference data by the name a recipe gives it, what a run was trained on, and pairs it never saw."""

from __future__ import annotations

from collections.abc import Mapping

from palate.data import RecordStream, read_records, records_as, stream_records
from palate.data.split import prompt_rank
from palate.errors import DataError, PalateError
from palate.evaluate.pair_accuracy import HeldOutPairs
from palate.pipeline.bases import PLAYGROUND
from palate.playground import write_pairs
from palate.recipe import CompareOptions, Recipe, SourceOptions
from palate.records import Pair, SetAside, as_messages
from palate.train import RunFolder

__all__ = ["held_out_pairs", "open_source", "read_pairs_file"]


def open_source(source: SourceOptions, system: str | None) -> RecordStream:
    """The rows a recipe names, read one at a time: a million of them need no more memory than a few."""
    if source.source != PLAYGROUND:
        return stream_records(source, system=system)
    local = source.model_copy(update={"source": str(write_pairs())})
    return stream_records(local, system=system, name=PLAYGROUND)


def read_pairs_file(options: CompareOptions, system: str | None = None) -> tuple[list[Pair], list[str]]:
    """The pairs of `options.pairs`, and in words what of the file is none.

    Rankings become pairs.

    Raises:
        DataError: it cannot be read, or holds no pairs.
    """
    assert options.pairs is not None
    try:
        found = read_records(SourceOptions(source=options.pairs), system=system)
    except DataError as error:
        if "no format" in error.what:
            wanted = "pairs are preference data: .json, .jsonl, .csv or .parquet, or a Hub data set"
            raise DataError(error.what, where=error.where, next=wanted) from None
        if "layout" not in error.what:
            raise
        convert = "say which column holds what once, with palate data convert, and name the file it writes"
        raise DataError(error.what, where=error.where, why=error.why, next=convert) from None
    pairs: list[Pair] = records_as(found.records, "pairs", where=options.pairs)
    aside = found.set_aside
    if not pairs:
        why = f"the first: {aside[0].place}: {aside[0].reason}" if aside else ""
        raise DataError("there are no pairs", where=options.pairs, why=why)
    said = []
    if aside:
        rows = "1 row is" if len(aside) == 1 else f"{len(aside):,} rows are"
        said.append(f"{rows} not read, the first at {aside[0].place}: {aside[0].reason}.")
    return pairs, said


def held_out_pairs(
    options: CompareOptions, runs: Mapping[str, Recipe], system: str | None = None
) -> HeldOutPairs | None:
    """The pairs that models are to be compared on, without those whose prompt a run was trained on.

    What a model learnt by heart is no evidence. A system message takes no part in what a prompt is.

    Args:
        runs: the recipes of those models that are runs, by name. Of others nothing is known.
        system: goes before prompts that have no system message.

    Raises:
        DataError: there are none, or none is left.
    """
    if options.pairs is None:
        return None
    pairs, said = read_pairs_file(options, system)
    for name, recipe in runs.items():
        try:
            trained = _prompts_trained_on(recipe)
        except PalateError as error:
            said.append(
                f"Whether {name} was trained on these prompts is not known: its data cannot be read "
                f"any more ({error.where}: {error.what})."
            )
            continue
        unseen = [pair for pair in pairs if prompt_rank(pair.prompt) not in trained]
        if not unseen:
            raise DataError(
                f"{name} was trained on the prompts of all {len(pairs):,} pairs",
                where=options.pairs,
                why="what a model was trained on is no evidence of what it learnt",
                next="name pairs with other prompts; a run's own held-out pairs are measured without --pairs",
            )
        if len(unseen) < len(pairs):
            said.append(
                f"{len(pairs) - len(unseen):,} of {len(pairs):,} pairs are left out: {name} was trained on "
                "their prompts."
            )
        pairs = unseen
    if options.num_pairs is not None and len(pairs) > options.num_pairs:
        said.append(f"Read are the first {options.num_pairs:,} of {len(pairs):,} pairs.")
        pairs = pairs[: options.num_pairs]
    return HeldOutPairs(options.pairs, tuple(pairs), tuple(said))


def _prompts_trained_on(recipe: Recipe) -> set[str]:
    """The ranks of its training prompts: those of its data that it did not hold out."""
    records = open_source(recipe.data.train, recipe.data.system)
    prompts = {prompt_rank(item.prompt) for item in records if not isinstance(item, SetAside)}
    folder = RunFolder(recipe.output)
    if recipe.data.eval is None and folder.has("evaluation/prompts.json"):
        held_out = folder.read("evaluation/prompts.json")["prompts"]
        prompts -= {prompt_rank(as_messages(prompt)) for prompt in held_out}
    return prompts
