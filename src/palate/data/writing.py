"""Records to a file that Palate, `datasets` and other trainers read as it is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from palate.data.kinds import Record, kind_of
from palate.records import Labelled, Messages, Pair

__all__ = ["write_records_jsonl"]


def write_records_jsonl(records: Iterable[Record], path: Path) -> None:
    """One record a line, with prompts and completions as message lists, and where the record came from.

    Pairs have the layout `messages`, labels `labels` and rankings `ranking` (best first). Where a record has
    a margin, or a weight other than 1, every line has a column `margin` or `weight`; to read them back, name
    it as `margin_column` or `weight_column`. The margin of a pair that has none is null.

    Raises:
        ValueError: the records are of several kinds, which no layout holds.
    """
    records = list(records)
    if len({kind_of(record) for record in records}) > 1:
        raise ValueError(f"{path}: one file holds records of one kind")
    with_margin = any(isinstance(record, Pair) and record.margin is not None for record in records)
    with_weight = any(record.weight != 1 for record in records)
    lines = []
    for record in records:
        row = {"prompt": _plain(record.prompt), **_judged(record)}
        if with_margin:
            row["margin"] = record.margin if isinstance(record, Pair) else None
        if with_weight:
            row["weight"] = record.weight
        row["provenance"] = dict(record.provenance.detail)
        lines.append(json.dumps(row, ensure_ascii=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    temporary.replace(path)


def _judged(record: Record) -> dict[str, Any]:
    """The columns of its kind: the completions, and what is said about them."""
    if isinstance(record, Pair):
        return {"chosen": _plain(record.chosen), "rejected": _plain(record.rejected)}
    if isinstance(record, Labelled):
        return {"completion": _plain(record.completion), "label": record.desirable}
    return {"completions": [_plain(completion) for completion in record.completions]}


def _plain(messages: Messages) -> list[dict[str, str]]:
    return [message.as_dict() for message in messages]
