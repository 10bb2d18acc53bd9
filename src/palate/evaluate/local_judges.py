"""What the judges of this machine have in common: which model it is, its name, and its work in batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from palate.engine import Branch, Head, Policy, Renderer, UnusableRow, load_trained
from palate.errors import CallError
from palate.generate.local import content_hash
from palate.recipe import ModelOptions, load_recipe
from palate.records import Messages
from palate.train import RunFolder
from palate.watcher import Watcher

__all__ = ["JudgingModel", "branches_of", "in_batches", "share_of"]

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class JudgingModel:
    """A model of this machine that judges: where it lies, what template it reads, and what it is called."""

    source: str
    folder: Path | None
    template: str
    called: str
    """The last part of the name it was given by, and the first digits of the hash of what judges."""
    model: str
    """Without the hash."""

    @classmethod
    def find(cls, model: str, folder: Path | None = None) -> JudgingModel:
        """Find it; no weights are loaded.

        Args:
            model: a Hub name, a model folder, an adapter's folder or a run folder.
            folder: where the base lies, for names that neither the Hub nor the file system knows.

        Raises:
            ModelError: there is no such model.
        """
        source, template = model, "tokenizer"
        run = RunFolder(model)
        if folder is None and run.recipe_file.is_file():
            source, template = str(run.trained), load_recipe(run.recipe_file).data.template
        brief = Path(model).expanduser().resolve().name if Path(model).expanduser().exists() else model
        digits = content_hash(source, folder, template)[:8]
        return cls(source, folder, template, f"{brief}@{digits}", brief)

    def load(self, head: Head, options: ModelOptions | None) -> tuple[Policy, Renderer]:
        """Its weights, and the renderer that writes for it.

        Raises:
            ModelError: it cannot be read, or it is a reward model where none is asked for, or the other way.
        """
        options = options or ModelOptions(base=self.source, adapter=None)
        policy = load_trained(self.source, options, head=head, folder=self.folder)
        return policy, Renderer(policy.tokenizer, self.template, policy.stop_ids())


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


def share_of(logps: Sequence[float]) -> list[float]:
    """Log-probabilities of alternatives as their shares of what all of them have together."""
    most = max(logps)
    weights = [math.exp(value - most) for value in logps]
    return [weight / sum(weights) for weight in weights]
