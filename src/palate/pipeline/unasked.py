"""What a file of prompts holds that a comparison does not ask, said in words."""

from __future__ import annotations

from palate.data.prompts import read_prompt_file
from palate.recipe import CompareOptions

__all__ = ["unasked_prompts"]


def unasked_prompts(options: CompareOptions) -> list[str]:
    """A sentence each on rows that cannot be used and on prompts beyond `num_prompts`; none of a run's own.

    Raises:
        DataError: the file cannot be read.
    """
    if options.prompts is None:
        return []
    found = read_prompt_file(options.prompts)
    said = []
    if found.set_aside:
        first, num = found.set_aside[0], len(found.set_aside)
        rows = "1 row is" if num == 1 else f"{num:,} rows are"
        said.append(f"{rows} not asked, the first at {first.place}: {first.reason}.")
    if num := found.num_repeats:
        said.append(f"{num:,} {'row repeats' if num == 1 else 'rows repeat'} a prompt: each is asked once.")
    if len(found.prompts) > options.num_prompts:
        said.append(
            f"Asked are the first {options.num_prompts:,} of {len(found.prompts):,} prompts of "
            f"{options.prompts}: num_prompts says how many."
        )
    return said
