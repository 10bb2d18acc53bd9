"""Prompts with completions that belong to others, for objectives that estimate a KL."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from palate.engine import Renderer, UnusableRow
from palate.errors import DataError
from palate.recipe import DataOptions
from palate.train.examples import Examples, Mismatched
from palate.train.fitting import fit
from palate.train.token_table import TableWriter, TokenTable

__all__ = ["mismatched_of", "refuse_one_prompt", "write_mismatched"]

_BATCH = 256


def refuse_one_prompt(examples: Examples, where: str) -> None:
    """Refuse to estimate what takes two prompts.

    Raises:
        DataError: there is only one.
    """
    if examples.num_prompts < 2:
        raise DataError(
            "a KL estimate needs completions of at least two prompts, and there is one",
            where=where,
            next="add prompts, or take an objective without such an estimate: palate objectives",
        )


def write_mismatched(
    writer: TableWriter, examples: Examples, renderer: Renderer, options: DataOptions
) -> None:
    """Write every example's prompt, answered by a completion that belongs to another prompt.

    Whose it is depends on the content alone, so it is the same in every epoch and for every seed, and the
    reference cache has it. An example for which none fits is left without and not part of the estimate.
    The table has an entry for each, in the order of their keys.
    """
    table = examples.table
    order = examples.by_key()
    places, others = examples.places[order], examples.places[order[_next_of_another(examples, order)]]
    for start in range(0, len(places), _BATCH):
        here = [int(place) for place in places[start : start + _BATCH]]
        there = [int(place) for place in others[start : start + _BATCH]]
        items = [(table.prompt(a), table.completion(b)) for a, b in zip(here, there, strict=True)]
        for found in renderer.render_many(items):
            if isinstance(found, UnusableRow):
                writer.add_lone(None)
                continue
            fitted = fit([found], options.max_length, options.too_long, renderer)
            writer.add_lone(fitted[0] if fitted is not None else None)


def mismatched_of(examples: Examples, found: TokenTable) -> Examples:
    """The examples with what `write_mismatched` wrote."""
    places = examples.places[examples.by_key()]
    first = found.entries["first_branch"].astype(np.int64)
    numbers = np.full(len(examples.table.entries), -1)
    numbers[places] = np.where(found.entries["num_branches"] > 0, first, -1)
    return Examples(examples.table, examples.places, Mismatched(found, numbers))


def _next_of_another(examples: Examples, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[N] for each in this order, who comes next with another prompt; after the last comes the first."""
    prompts = examples.column("prompt")[order]
    starts = np.flatnonzero(np.concatenate([[True], prompts[1:] != prompts[:-1]]))
    # What stands behind each run of one prompt. The last run goes on in the first where that has its prompt.
    behind = np.append(starts[1:], starts[1] if prompts[0] == prompts[-1] else 0)
    return behind[np.searchsorted(starts, np.arange(len(order)), side="right") - 1]
