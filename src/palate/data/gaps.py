"""Options about pairs and their gaps that these rows would leave without effect."""

from __future__ import annotations

from collections.abc import Sequence

from palate.data.columns import mapped_fields
from palate.data.layouts import LAYOUTS, Row, Sides
from palate.data.messages import Unusable
from palate.data.rows import RawRow
from palate.errors import DataError
from palate.recipe import SourceOptions

__all__ = ["refuse_pair_options_without_effect"]


def refuse_pair_options_without_effect(options: SourceOptions, layout: str, rows: Sequence[RawRow]) -> None:
    """What `pair_rule`, `min_gap` and `score_margin` could not change; `rows` are the first of the source.

    Raises:
        DataError: rows of this layout are not turned into pairs, or none says by how much chosen is better.
    """
    kind = LAYOUTS[layout].kind
    if options.pair_rule != "all" and kind != "rankings":
        raise _no_effect(
            options, layout, f'pair_rule = "{options.pair_rule}"', "only rankings become pairs by a rule"
        )
    asked = [f"min_gap = {options.min_gap:g}"] if options.min_gap is not None else []
    asked += ["score_margin"] if options.score_margin else []
    if not asked or kind == "rankings":
        return
    if kind == "labels":
        raise _no_effect(options, layout, asked[0], "a label compares its completion with none")
    if not any(_states_gap(row, options, layout) for row in rows):
        raise _no_effect(
            options,
            layout,
            asked[0],
            f"none of the first {len(rows):,} rows says by how much chosen is better",
        )


def _states_gap(row: RawRow, options: SourceOptions, layout: str) -> bool:
    try:
        said = LAYOUTS[layout].convert(Row(mapped_fields(row.fields, options.columns)))
    except Unusable:
        return False
    return isinstance(said, Sides) and said.gap is not None


def _no_effect(options: SourceOptions, layout: str, option: str, why: str) -> DataError:
    return DataError(
        f"{option} has no effect: the layout of these rows is {layout}",
        where=options.source,
        why=why,
        next="drop the option, or name a column of margins with margin_column"
        if LAYOUTS[layout].kind == "pairs" and not option.startswith("pair_rule")
        else "drop the option, or name the layout",
    )
