"""What a row of a file that Palate wrote looks like: its columns, and where its record came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from palate.data.kinds import Record
from palate.data.scalars import margin_field, weight_field
from palate.data.structured import parse_json
from palate.recipe import SourceOptions
from palate.records import Labelled, Messages, Pair, Provenance, Ranking

__all__ = ["MAX_ORIGINS", "NEUTRAL", "as_row", "as_written", "is_written_by_palate", "without_blanks"]

MAX_ORIGINS = 16
"""How many places a record is followed back through; of a longer way the first and the last stay."""

NEUTRAL: Mapping[str, Any] = {"margin": None, "weight": 1.0, "scores": None}
"""The columns that a file has only where a record needs them, and what they say of one that does not."""

_FORMAT = "palate/1"
_BEGINNING = json.dumps({"format": _FORMAT})[:-1] + ","


def as_row(record: Record) -> dict[str, Any]:
    """The record as a row: only those of the `NEUTRAL` columns of which it has something to say."""
    row: dict[str, Any] = {"prompt": _plain(record.prompt)}
    match record:
        case Pair():
            row |= {"chosen": _plain(record.chosen), "rejected": _plain(record.rejected)}
            if record.margin is not None:
                row["margin"] = float(record.margin)
        case Labelled():
            row |= {"completion": _plain(record.completion), "label": record.desirable}
        case Ranking():
            row["completions"] = [_plain(completion) for completion in record.completions]
            if record.scores is not None:
                row["scores"] = [float(score) for score in record.scores]
    if record.weight != 1:
        row["weight"] = float(record.weight)
    row["provenance"] = _origin_text(record.provenance)
    return row


def _plain(messages: Messages) -> list[dict[str, str]]:
    return [message.as_dict() for message in messages]


def _origin_text(origin: Provenance) -> str:
    """As text, because columns of objects with differing keys are more than `datasets` takes."""
    said = {"format": _FORMAT, "source": origin.source, "line": origin.line, "detail": dict(origin.detail)}
    return json.dumps(said)


def is_written_by_palate(fields: Mapping[str, Any]) -> bool:
    """Whether the row says of itself that Palate wrote it."""
    said = fields.get("provenance")
    return isinstance(said, str) and said.startswith(_BEGINNING)


def without_blanks(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The columns of a row that Palate wrote, without those that only other rows of the file need."""
    return {name: value for name, value in fields.items() if value is not None or name not in NEUTRAL}


def as_written(record: Record, fields: Mapping[str, Any], options: SourceOptions) -> Record:
    """The record that was read from a row that Palate wrote, with what the row says beside its texts.

    That is its margin and its weight, unless the options name columns for them, and where it came from.

    Raises:
        Unusable: the margin or the weight is none.
    """
    origin = record.provenance
    detail = {**_carried_detail(fields), **origin.detail}
    changes: dict[str, Any] = {"provenance": Provenance(origin.source, origin.line, detail)}
    if options.weight_column is None and fields.get("weight") is not None:
        changes["weight"] = weight_field(fields, "weight")
    has_margin = isinstance(record, Pair) and fields.get("margin") is not None
    if has_margin and options.margin_column is None and not options.score_margin:
        changes["margin"] = margin_field(fields, "margin")
    return replace(record, **changes)


def _carried_detail(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The detail that the record had, and `origin`: the places it came through, the last one first.

    Counts (`num_...`) are those of a reading that is over, and stay behind. Damaged text says nothing.
    """
    try:
        said = parse_json(fields["provenance"])
    except ValueError:
        return {}
    if not isinstance(said, dict) or not isinstance(said.get("detail"), dict):
        return {}
    detail = {name: value for name, value in said["detail"].items() if not name.startswith("num_")}
    before = detail.get("origin")
    places = [{"source": said.get("source"), "line": said.get("line")}]
    places += before if isinstance(before, list) else []
    if len(places) > MAX_ORIGINS:
        places = [*places[: MAX_ORIGINS - 1], places[-1]]
    return {**detail, "origin": places}
