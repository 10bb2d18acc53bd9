"""The steps that look at one row at a time: each says why a row has to go, or nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import combinations

from palate.data.audit.check import AuditedRecord
from palate.data.audit.folding import looks_empty, without_spaces
from palate.data.curation.contamination import DEFAULT_NGRAM, TestSet, read_test_texts
from palate.data.curation.form import ends_closed, starts_with_capital
from palate.data.curation_options import CurationOptions
from palate.data.excerpts import excerpt
from palate.data.kinds import Kind
from palate.records import Labelled, Messages, Pair

__all__ = ["RowStep", "row_steps"]

RowStep = Callable[[AuditedRecord], str | None]
"""The reason why a row goes, or None."""


def row_steps(options: CurationOptions, kind: Kind) -> Iterator[tuple[str, RowStep]]:
    """The steps that were asked for, by name, in their order.

    Raises:
        DataError: a test set cannot be read.
    """
    yield "sides", _sides
    if options.min_chars or options.max_chars or options.max_prompt_chars:
        yield "length", lambda record: _length(record, options)
    if options.require_capital or options.require_closing:
        yield "format", lambda record: _format(record, options)
    if kind == "pairs" and (options.min_margin is not None or options.max_margin is not None):
        yield "margin", lambda record: _margin(record, options)
    if options.against:
        texts = (text for source in options.against for text in read_test_texts(source))
        tests = TestSet(texts, options.ngram or DEFAULT_NGRAM)
        yield "against", lambda record: _against(record, tests, options.against_parts or "both")


def _sides(record: AuditedRecord) -> str | None:
    if any(
        turn.role == "assistant" and looks_empty(turn.content)
        for completion in record.completions
        for turn in completion
    ):
        return "a completion has nothing in it that can be seen"
    plain = [without_spaces(text) for text in record.completion_texts]
    if any(one == other for one, other in combinations(plain, 2)):
        return "two completions are equal but for white space"
    return None


def _length(record: AuditedRecord, options: CurationOptions) -> str | None:
    if options.max_prompt_chars and len(record.prompt_text) > options.max_prompt_chars:
        return f"the prompt is longer than {options.max_prompt_chars:,} characters"
    for text in record.completion_texts:
        if options.min_chars and len(text) < options.min_chars:
            return f"a completion is shorter than {options.min_chars:,} characters"
        if options.max_chars and len(text) > options.max_chars:
            return f"a completion is longer than {options.max_chars:,} characters"
    return None


def _format(record: AuditedRecord, options: CurationOptions) -> str | None:
    for completion in _looked_at(record, options):
        text = completion[-1].content
        if options.require_capital and not starts_with_capital(text):
            return "a completion does not start with a capital"
        if options.require_closing and not ends_closed(text):
            return "a completion does not end with closing punctuation"
    return None


def _looked_at(record: AuditedRecord, options: CurationOptions) -> tuple[Messages, ...]:
    """All completions, or those that are preferred: chosen, the first of a ranking, a desirable one."""
    if options.form_of == "both":
        return record.completions
    if isinstance(record.record, Labelled):
        return record.completions if record.record.desirable else ()
    return record.completions[:1]


def _margin(record: AuditedRecord, options: CurationOptions) -> str | None:
    margin = _margin_of(record.record) if isinstance(record.record, Pair) else None
    if margin is None:
        return "there is no margin, nor scores to take one from"
    if options.min_margin is not None and _is_below(margin, options.min_margin):
        return f"the margin is below {options.min_margin:g}"
    if options.max_margin is not None and _is_below(options.max_margin, margin):
        return f"the margin is above {options.max_margin:g}"
    return None


def _is_below(one: float, other: float) -> bool:
    """Whether it is, but for the rounding of decimal fractions: 0.3 - 0.2 is no less than 0.1."""
    return one < other and not math.isclose(one, other, rel_tol=1e-9)


def _margin_of(pair: Pair) -> float | None:
    if pair.margin is not None:
        return pair.margin
    detail = pair.provenance.detail
    if "gap" in detail:
        return float(detail["gap"])
    if "chosen_score" in detail and "rejected_score" in detail:
        return float(detail["chosen_score"]) - float(detail["rejected_score"])
    return None


def _against(record: AuditedRecord, tests: TestSet, parts: str) -> str | None:
    prompts = (record.prompt_text,) if parts != "completions" else ()
    completions = record.completion_texts if parts != "prompts" else ()
    for text in (*prompts, *completions):
        if (found := tests.overlap(text)) is not None:
            return f'"{excerpt(found.words, 120)}" stands in the test set, {excerpt(found.place, 200)}'
    return None
