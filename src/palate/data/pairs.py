"""Preference pairs from any source: every row becomes a pair or is set aside with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from palate.data.detection import detect_layout
from palate.data.layouts import LAYOUTS, Row, Sides
from palate.data.messages import Unusable, text_field
from palate.data.rows import RawRow
from palate.data.sources import read_rows
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import Message, Messages, Pair, Provenance, SetAside

__all__ = ["PairSet", "complete_prompt", "read_pairs"]


@dataclass(frozen=True, slots=True)
class PairSet:
    """What a source gave. Rows in = pairs + rows set aside, or the set cannot be made."""

    pairs: tuple[Pair, ...]
    set_aside: tuple[SetAside, ...]
    layout: str
    source: str
    num_rows: int

    def __post_init__(self) -> None:
        num_accounted = len(self.pairs) + len(self.set_aside)
        if self.num_rows != num_accounted:
            raise ValueError(
                f"{self.source}: {self.num_rows} rows in, {num_accounted} accounted for: rows were lost"
            )


def read_pairs(options: SourceOptions, *, system: str | None = None) -> PairSet:
    """The pairs of a source, in the order of its rows.

    `system` is put before every prompt that has no system message.

    Raises:
        DataError: the source cannot be read, or its layout cannot be told. A bad row is never an error: it
            stands in `set_aside`.
    """
    rows = read_rows(options)
    layout = options.layout if options.layout != "auto" else detect_layout(rows, options.source)
    if options.support_ratio is not None and layout != "stance":
        raise DataError(
            f"support_ratio = {options.support_ratio:g} has no effect: the layout of these rows is {layout}",
            where=options.source,
            why='it belongs to the layout "stance" (prompt, support, oppose)',
            next="drop support_ratio, or name the layout",
        )
    results = list(_convert(rows, layout, options, system))
    return PairSet(
        pairs=tuple(result for result in results if isinstance(result, Pair)),
        set_aside=tuple(result for result in results if isinstance(result, SetAside)),
        layout=layout,
        source=options.source,
        num_rows=len(rows),
    )


def _convert(
    rows: list[RawRow], layout: str, options: SourceOptions, system: str | None
) -> Iterator[Pair | SetAside]:
    convert = LAYOUTS[layout].convert
    ratio = 1.0 if options.support_ratio is None else options.support_ratio
    for position, raw in enumerate(rows):
        try:
            if raw.problem:
                raise Unusable(raw.problem)
            sides = convert(Row(raw.fields, position, len(rows), ratio))
            yield _pair(sides, raw.fields, system, Provenance(options.source, raw.line, sides.detail))
        except Unusable as reason:
            yield SetAside(options.source, raw.line, str(reason), raw.excerpt)


def _pair(sides: Sides, fields: Mapping[str, Any], system: str | None, provenance: Provenance) -> Pair:
    """The pair, if it is one that can be learned from."""
    prompt = complete_prompt(sides.prompt, fields, system)
    for side, completion in (("chosen", sides.chosen), ("rejected", sides.rejected)):
        _check_completion(side, completion)
    if sides.chosen == sides.rejected:
        raise Unusable("chosen and rejected are identical")
    return Pair(prompt, sides.chosen, sides.rejected, provenance)


def complete_prompt(prompt: Messages, fields: Mapping[str, Any], system: str | None) -> Messages:
    """The prompt, if there is something to answer, with a system message.

    That is its own, or the one in the row's `system` column, or else `system`. Many layouts have that
    column beside the prompt; to overlook it would train on another prompt.
    """
    prompt = _usable(prompt)
    column = fields.get("system")
    if column is None or (isinstance(column, str) and not column.strip()):
        return _with_system(prompt, system)
    text = text_field(fields, "system")
    if any(message.role == "system" and message.content.strip() != text.strip() for message in prompt):
        raise Unusable('"system" says something else than the system message in the row')
    return _with_system(prompt, text)


def _with_system(prompt: Messages, system: str | None) -> Messages:
    if system is None or any(message.role == "system" for message in prompt):
        return prompt
    return (Message("system", system), *prompt)


def _usable(prompt: Messages) -> Messages:
    # An empty system message says what no system message says, and would keep `system` from being added.
    prompt = tuple(m for m in prompt if m.role != "system" or m.content.strip())
    said = [message for message in prompt if message.role != "system"]
    if not said:
        raise Unusable("there is no prompt")
    if not said[-1].content.strip():
        raise Unusable("the prompt is empty")
    if prompt[-1].role in ("assistant", "system"):
        raise Unusable(f"the prompt ends with a turn of {prompt[-1].role}, there is nothing to answer")
    return prompt


def _check_completion(side: str, completion: Messages) -> None:
    if not completion:
        raise Unusable(f"the {side} completion is empty: it only repeats the prompt")
    if completion[0].role != "assistant":
        raise Unusable(f"the {side} completion starts with a {completion[0].role} turn")
    if completion[-1].role != "assistant":
        raise Unusable(
            f"the {side} completion ends with a {completion[-1].role} turn, not with the assistant's"
        )
    if any(message.role == "assistant" and not message.content.strip() for message in completion):
        raise Unusable(f"the {side} completion is empty")
