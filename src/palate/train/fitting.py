"""Completions of one prompt as tokens within a length, and why those that cannot be used cannot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palate.data import Record
from palate.engine import Branch, Rendered, Renderer, UnusableRow
from palate.errors import DataError
from palate.recipe import DataOptions
from palate.records import Messages, Pair, Ranking
from palate.train.token_table import Encoded

__all__ = ["completions_of", "encode_batch", "fit"]

_SAME_TOKENS = {
    Pair: "chosen and rejected are identical once written out as tokens",
    Ranking: "two of its completions are identical once written out as tokens",
}


def completions_of(record: Record) -> tuple[Messages, ...]:
    """Its completions, the preferred first."""
    if isinstance(record, Pair):
        return record.chosen, record.rejected
    return record.completions if isinstance(record, Ranking) else (record.completion,)


def encode_batch(records: Sequence[Record], renderer: Renderer, options: DataOptions) -> list[Encoded]:
    """Each record written out as tokens within `options.max_length`, or why not; all in one go.

    Raises:
        DataError: a record is too long and `options.too_long` is `error`.
    """
    items = [(record.prompt, said) for record in records for said in completions_of(record)]
    rendered = iter(renderer.render_many(items))
    return [
        _encoded(record, [next(rendered) for _ in completions_of(record)], renderer, options)
        for record in records
    ]


def _encoded(
    record: Record, found: Sequence[Rendered | UnusableRow], renderer: Renderer, options: DataOptions
) -> Encoded:
    sides = []
    for side in found:
        if isinstance(side, UnusableRow):
            return Encoded(reason=str(side))
        sides.append(side)
    fitted = fit(sides, options.max_length, options.too_long, renderer)
    if fitted is None:
        if options.too_long == "error":
            raise _too_long(record, sides, options.max_length)
        return Encoded(reason=f"too long: more than {options.max_length} tokens", is_too_long=True)
    if len({branch.key for branch in fitted}) < len(fitted):
        return Encoded(reason=_SAME_TOKENS[type(record)])
    return Encoded(
        fitted,
        is_truncated=fitted[0] is not sides[0].branch,
        num_merges=sum(side.boundary_merged for side in sides),
    )


def _too_long(record: Record, sides: Sequence[Rendered], max_length: int) -> DataError:
    origin = record.provenance
    return DataError(
        f"{max(len(side.branch) for side in sides)} tokens, data.max_length is {max_length}",
        where=origin.source if origin.line is None else f"{origin.source}:{origin.line}",
        next="raise data.max_length, or set data.too_long to drop or truncate_prompt",
    )


def fit(
    sides: Sequence[Rendered], max_length: int, too_long: str, renderer: Renderer
) -> tuple[Branch, ...] | None:
    """All sides within the limit, or None. The same prompt tokens go from each, so they still share it."""
    excess = max(len(side.branch) for side in sides) - max_length
    if excess <= 0:
        return tuple(side.branch for side in sides)
    num_prompt = min(side.num_prompt for side in sides)
    # A beginning-of-sequence token stays: models are lost without theirs.
    keep = 1 if int(sides[0].branch.token_ids[0]) == renderer.tokenizer.bos_token_id else 0
    if too_long != "truncate_prompt" or num_prompt - excess < keep + 1:
        return None
    return tuple(_without(side.branch, keep, keep + excess) for side in sides)


def _without(branch: Branch, start: int, stop: int) -> Branch:
    gone = slice(start, stop)
    return Branch(np.delete(branch.token_ids, gone), np.delete(branch.scored, gone))
