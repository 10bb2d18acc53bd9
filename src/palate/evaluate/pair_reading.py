"""Models read both sides of pairs: how likely each side is, and of how many tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

from palate.engine import Branch, Policy, Renderer, branch_logps, prove_layout
from palate.evaluate.contestants import Contestant
from palate.evaluate.reading import branches_of, in_batches
from palate.records import Pair
from palate.watcher import Watcher

__all__ = ["Sides", "read_pairs"]

Sides = tuple[tuple[float, int], tuple[float, int]]
"""Of chosen and rejected the log-likelihood, and how many tokens it is of."""


def read_pairs(
    policy: Policy, contestant: Contestant, pairs: Sequence[Pair], batch_size: int, watcher: Watcher
) -> list[Sides | str]:
    """Both sides' log-likelihoods, or why this model cannot read a pair.

    Args:
        contestant: whose template is used.
        batch_size: pairs read at once; halved where memory does not suffice.
    """
    renderer = Renderer(policy.tokenizer, contestant.template, policy.stop_ids())
    items = chain.from_iterable(((pair.prompt, pair.chosen), (pair.prompt, pair.rejected)) for pair in pairs)
    rendered = iter(branches_of(policy, renderer, list(items)))
    found: list[Sides | str] = []
    readable: list[tuple[int, tuple[Branch, Branch]]] = []
    for place, (chosen, rejected) in enumerate(zip(rendered, rendered, strict=True)):
        if isinstance(chosen, str) or isinstance(rejected, str):
            found.append(chosen if isinstance(chosen, str) else str(rejected))
        else:
            readable.append((place, (chosen, rejected)))
            found.append("")
    layout = prove_layout(policy, readable[0][1]).layout if readable else "tree"

    def work(sides: Sequence[tuple[Branch, Branch]]) -> list[Sides]:
        with policy.evaluating():
            logps = branch_logps(policy, [branch for both in sides for branch in both], layout)
        each = iter(zip(logps.sums().tolist(), logps.num_scored_B.tolist(), strict=True))
        return list(zip(each, each, strict=True))

    # Pairs of one prompt stand together: the prompt is computed once for all of them.
    readable.sort(key=lambda one: (pairs[one[0]].prompt_id, one[0]))
    task = f"{contestant.name} reads pairs"
    batches = in_batches([both for _, both in readable], work, batch_size, task, watcher)
    for (place, _), sides in zip(readable, batches, strict=True):
        is_finite = all(math.isfinite(logp) for logp, _ in sides)
        found[place] = sides if is_finite else "the log-probabilities are not finite"
    return found
