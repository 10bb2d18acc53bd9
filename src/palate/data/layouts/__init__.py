"""Every layout preference rows come in, and how a row of each becomes a prompt with its judged completions.

To add one: write a function from `Row` to `Sides`, `Single` or `Ordered` that raises `Unusable` with a
reason, in the module of its family; give it an entry there with a function that claims rows by what is in
them, and add its name to `palate.recipe.source.Layout`. What is asked of every record, whatever its layout,
stands in `reading.py`.
"""

from __future__ import annotations

from palate.data.layouts.choices import CHOICE_LAYOUTS
from palate.data.layouts.dialogues import DIALOGUE_LAYOUTS
from palate.data.layouts.form import Converted, Layout, Ordered, Row, Sides, Single
from palate.data.layouts.instruction import INSTRUCTION_LAYOUTS
from palate.data.layouts.judged import JUDGED_LAYOUTS
from palate.data.layouts.pairs import PAIR_LAYOUTS

__all__ = ["LAYOUTS", "Converted", "Layout", "Ordered", "Row", "Sides", "Single"]

LAYOUTS: dict[str, Layout] = {
    **PAIR_LAYOUTS,
    **DIALOGUE_LAYOUTS,
    **INSTRUCTION_LAYOUTS,
    **CHOICE_LAYOUTS,
    **JUDGED_LAYOUTS,
}
"""Every layout by the name recipes use."""
