"""Records in few words, and a stream of them from a file."""

from __future__ import annotations

from pathlib import Path

from palate.data import RecordStream, stream_records, write_records
from palate.data.curation import Curation, CurationOptions, curate_records
from palate.recipe import SourceOptions
from palate.records import Labelled, Message, Pair, Provenance, Ranking


def turn(text, role="assistant"):
    return (Message(role, text),)


def pair(prompt, chosen, rejected, margin=None, **detail):
    return Pair(turn(prompt, "user"), turn(chosen), turn(rejected), Provenance("me", 1, detail), margin)


def label(prompt, completion, desirable):
    return Labelled(turn(prompt, "user"), turn(completion), desirable, Provenance("me"))


def ranking(prompt, *completions, scores=None):
    return Ranking(turn(prompt, "user"), tuple(map(turn, completions)), Provenance("me"), scores=scores)


def stream_of(folder: Path, records) -> RecordStream:
    path = folder / "rows.jsonl"
    write_records(records, path)
    return stream_records(SourceOptions(source=str(path)))


def curated(folder: Path, records, **options) -> Curation:
    return curate_records(stream_of(folder, records), CurationOptions(**options))


def removed(curation: Curation) -> dict[str, int]:
    """Only the steps that removed something."""
    return {step.step: step.num_removed for step in curation.account.steps if step.num_removed}


def kept_lines(curation: Curation) -> list[int]:
    return [record.provenance.line for record in curation.kept()]
