"""What a source holds, before anything is done with it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from palate.data.kinds import Record
from palate.data.pairing import PairRule, count_pairs
from palate.data.reading import RecordSet, read_records
from palate.recipe import SourceOptions
from palate.records import Labelled, Messages, Pair, Ranking, SetAside

__all__ = ["inspect_source"]

MAX_EXAMPLES = 3
MAX_PLACES = 5


def inspect_source(options: SourceOptions) -> dict[str, Any]:
    """The layout, kind, counts, a few records and the reasons for rows set aside, as plain data.

    `num_rows` = `num_kept` + `num_set_aside`. `counts` has `num_prompts`, and for labels `num_desirable` and
    `num_undesirable`, for rankings `num_completions` (how many rankings there are of each length),
    `num_repeated` (completions left out of rankings that were kept), `num_pairs` that the options' rule makes
    of them, and `num_tied` and `num_below_gap`, the comparisons that make none. `margin`, `weight` and `gap`
    have `min`, `median` and `max` where there are any. `set_aside` lists each reason once, the most
    frequent first, with its count and the first few places.

    Raises:
        DataError: as `read_records`.
    """
    found = read_records(options)
    return {
        "layout": found.layout,
        "kind": found.kind,
        "num_rows": found.num_rows,
        "num_kept": len(found.records),
        "num_set_aside": len(found.set_aside),
        "counts": _counts(found, options),
        **_figures(found, options),
        "examples": [_example(record) for record in found.records[:MAX_EXAMPLES]],
        "set_aside": _reasons(found.set_aside),
    }


def _counts(found: RecordSet, options: SourceOptions) -> dict[str, Any]:
    counts: dict[str, Any] = {"num_prompts": len({record.prompt for record in found.records})}
    if found.kind == "labels":
        labels = Counter(record.desirable for record in found.records if isinstance(record, Labelled))
        counts |= {"num_desirable": labels[True], "num_undesirable": labels[False]}
    if found.kind == "rankings":
        rankings = [record for record in found.records if isinstance(record, Ranking)]
        lengths = Counter(len(ranking.completions) for ranking in rankings)
        # Text, as JSON has no other keys.
        counts["num_completions"] = {str(length): lengths[length] for length in sorted(lengths)}
        counts["num_repeated"] = sum(ranking.provenance.detail.get("num_repeated", 0) for ranking in rankings)
        counts |= count_pairs(rankings, PairRule.of(options), where=options.source)
    return counts


def _figures(found: RecordSet, options: SourceOptions) -> dict[str, Any]:
    figures = {}
    gaps = [record.provenance.detail.get("gap") for record in found.records if isinstance(record, Pair)]
    if any(gap is not None for gap in gaps):
        figures["gap"] = _spread([gap for gap in gaps if gap is not None])
    if options.margin_column is not None or options.score_margin:
        pairs = (record for record in found.records if isinstance(record, Pair))
        figures["margin"] = _spread([pair.margin for pair in pairs if pair.margin is not None])
    if options.weight_column is not None:
        figures["weight"] = _spread([record.weight for record in found.records])
    return figures


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    """Where the values lie; None where there are none."""
    if not values:
        return None
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def _example(record: Record) -> dict[str, Any]:
    origin = record.provenance
    example: dict[str, Any] = {
        "source": origin.source,
        "line": origin.line,
        "prompt": _plain(record.prompt),
    }
    match record:
        case Pair():
            example |= {"chosen": _plain(record.chosen), "rejected": _plain(record.rejected)}
        case Labelled():
            example |= {"completion": _plain(record.completion), "label": record.desirable}
        case Ranking():
            example["completions"] = [_plain(completion) for completion in record.completions]
    return example


def _plain(messages: Messages) -> list[dict[str, str]]:
    return [message.as_dict() for message in messages]


def _reasons(set_aside: tuple[SetAside, ...]) -> list[dict[str, Any]]:
    places: dict[str, list[str]] = {}
    for row in set_aside:
        places.setdefault(row.reason, []).append(row.place)
    return [
        {"reason": reason, "count": len(found), "places": found[:MAX_PLACES]}
        for reason, found in sorted(places.items(), key=lambda item: -len(item[1]))
    ]
