"""What a source holds, before anything is done with it."""

from __future__ import annotations

import statistics
from array import array
from collections import Counter
from typing import Any

from palate.data.kinds import Kind, Record
from palate.data.pairing import PairRule, count_pairs
from palate.data.reading import stream_records
from palate.data.reasons import Reasons
from palate.recipe import SourceOptions
from palate.records import Labelled, Messages, Pair, Ranking, SetAside

__all__ = ["inspect_source"]

MAX_EXAMPLES = 3


def inspect_source(options: SourceOptions) -> dict[str, Any]:
    """The layout, kind, counts, a few records and the reasons for rows set aside, as plain data.

    `num_rows` = `num_kept` + `num_set_aside`. `counts` has `num_prompts`, and for labels `num_desirable` and
    `num_undesirable`, for rankings `num_completions` (how many rankings there are of each length),
    `num_repeated` (completions left out of rankings that were kept), `num_pairs` that the options' rule makes
    of them, and `num_tied` and `num_below_gap`, the comparisons that make none. `num_scored_against` is there
    where pairs have scores by which rejected is the better one. `margin`, `weight` and `gap` have `min`,
    `median` and `max` where there are any. `set_aside` lists each reason once, the most frequent first, with
    its count and the first few places.

    Raises:
        DataError: as `read_records`.
    """
    stream = stream_records(options)
    seen = _Seen(options)
    for item in stream:
        seen.add(item)
    return {
        "layout": stream.layout,
        "kind": stream.kind,
        "num_rows": seen.num_kept + seen.reasons.num_rows,
        "num_kept": seen.num_kept,
        "num_set_aside": seen.reasons.num_rows,
        "counts": seen.counts(stream.kind),
        **seen.figures(),
        "examples": seen.examples,
        "set_aside": seen.reasons.as_data(),
    }


class _Seen:
    """What stays of the records that went by: a few numbers for each, and the first of them."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._rule = PairRule.of(options)
        self.reasons = Reasons()
        self.examples: list[dict[str, Any]] = []
        self.num_kept = 0
        self._prompts: set[int] = set()
        self._labels: Counter[bool] = Counter()
        self._lengths: Counter[int] = Counter()
        self._of_rankings: Counter[str] = Counter()
        self._margins, self._weights, self._gaps = array("d"), array("d"), array("d")

    def add(self, item: Record | SetAside) -> None:
        if isinstance(item, SetAside):
            self.reasons.add(item)
            return
        self.num_kept += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(_example(item))
        self._prompts.add(hash(item.prompt))  # 64 bits: a thousandth of the memory that long prompts take
        self._weights.append(item.weight)
        match item:
            case Pair():
                self._add_pair(item)
            case Labelled():
                self._labels[item.desirable] += 1
            case Ranking():
                self._lengths[len(item.completions)] += 1
                self._of_rankings["num_repeated"] += item.provenance.detail.get("num_repeated", 0)
                self._of_rankings.update(count_pairs([item], self._rule, where=self._options.source))

    def _add_pair(self, pair: Pair) -> None:
        if pair.margin is not None:
            self._margins.append(pair.margin)
        gap = pair.provenance.detail.get("gap")
        if isinstance(gap, int | float):
            self._gaps.append(gap)

    def counts(self, kind: Kind) -> dict[str, Any]:
        counts: dict[str, Any] = {"num_prompts": len(self._prompts)}
        if num_against := sum(gap < 0 for gap in self._gaps):
            counts["num_scored_against"] = num_against
        if kind == "labels":
            counts |= {"num_desirable": self._labels[True], "num_undesirable": self._labels[False]}
        if kind == "rankings":
            # Text, as JSON has no other keys.
            counts["num_completions"] = {
                str(length): self._lengths[length] for length in sorted(self._lengths)
            }
            for name in ("num_repeated", "num_pairs", "num_tied", "num_below_gap"):
                counts[name] = self._of_rankings[name]
        return counts

    def figures(self) -> dict[str, Any]:
        options = self._options
        figures = {}
        if self._gaps:
            figures["gap"] = _spread(self._gaps)
        if self._margins or options.margin_column is not None or options.score_margin:
            figures["margin"] = _spread(self._margins)
        if options.weight_column is not None or any(weight != 1 for weight in self._weights):
            figures["weight"] = _spread(self._weights)
        return figures


def _spread(values: array[float]) -> dict[str, float] | None:
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
