"""The checks that compare rows with each other, over the index of all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from palate.data.audit.baselines import counting_baseline
from palate.data.audit.draft import Draft
from palate.data.audit.duplicates import duplicate_rows
from palate.data.audit.index import RowIndex
from palate.data.audit.leaks import leaked_completions, leaked_prompts
from palate.data.audit.lengths import length_bias
from palate.data.audit.preferences import circular_triads, contradictory_pairs

__all__ = ["RELATIONS", "relations"]

RELATIONS: tuple[Callable[[RowIndex], Iterator[Draft]], ...] = (
    contradictory_pairs,
    circular_triads,
    duplicate_rows,
    leaked_prompts,
    leaked_completions,
    counting_baseline,
    length_bias,
)


def relations(index: RowIndex) -> Iterator[Draft]:
    """What they find; nothing where no row was kept."""
    if index.kind("train") is not None:
        for relation in RELATIONS:
            yield from relation(index)
