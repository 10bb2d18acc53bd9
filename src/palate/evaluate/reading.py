"""Texts as a model reads them: their tokens, and batches that are halved where memory does not suffice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from palate.engine import Branch, Policy, Renderer, UnusableRow
from palate.errors import CallError
from palate.records import Messages
from palate.watcher import Watcher

__all__ = ["branches_of", "in_batches"]

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


def branches_of(
    policy: Policy, renderer: Renderer, items: Sequence[tuple[Messages, Messages]]
) -> list[Branch | str]:
    """The tokens of each prompt and completion, or why there are none that the model can read."""
    room = int(getattr(policy.text_config, "max_position_embeddings", 0) or 1 << 30)
    found: list[Branch | str] = []
    for rendered in renderer.render_many(items):
        if isinstance(rendered, UnusableRow):
            found.append(str(rendered))
        elif len(rendered.branch) > room:
            found.append(f"{len(rendered.branch):,} tokens, the model has room for {room:,}")
        else:
            found.append(rendered.branch)
    return found


def in_batches(
    items: Sequence[_Item],
    work: Callable[[Sequence[_Item]], Sequence[_Found]],
    batch_size: int,
    task: str,
    watcher: Watcher,
) -> Iterator[_Found]:
    """What `work` makes of the items, batch by batch; a batch that memory does not suffice for is halved.

    Raises:
        CallError: `batch_size` is no number of items.
    """
    if batch_size < 1:
        raise CallError(f"batches of {batch_size}", where="batch_size", next="give 1 or more")
    watcher.begin(task, len(items))
    done = 0
    try:
        while done < len(items):
            batch = items[done : done + batch_size]
            try:
                found = work(batch)
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                batch_size = len(batch) // 2
                watcher.note(f"memory is short: {batch_size} at once from here on")
                continue
            yield from found
            done += len(batch)
            watcher.advance(done)
    finally:
        watcher.end()
