"""Several answers to each prompt, from the local model."""

from __future__ import annotations

from collections.abc import Sequence

from palate.engine import Policy, Renderer, Sampling, generate
from palate.records import Answer, Messages
from palate.watcher import Watcher

__all__ = ["sample_candidates"]


def sample_candidates(
    policy: Policy,
    renderer: Renderer,
    prompts: Sequence[Messages],
    num_candidates: int,
    sampling: Sampling,
    watcher: Watcher | None = None,
) -> list[Answer]:
    """`num_candidates` answers to each prompt, those of one prompt together. Duplicates are left in.

    Raises:
        ValueError: several candidates were asked for with greedy sampling, which always says the same.
    """
    if num_candidates > 1 and sampling.temperature == 0:
        raise ValueError("greedy answers never differ: sample with a temperature above 0")
    watcher = watcher or Watcher()
    repeated = [prompt for prompt in prompts for _ in range(num_candidates)]
    watcher.begin("generating answers", len(repeated))
    try:
        return generate(
            policy,
            renderer,
            repeated,
            sampling,
            batch_size=64,
            on_batch=lambda done, total: watcher.advance(done),
        )
    finally:
        watcher.end()
