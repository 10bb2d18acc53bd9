"""Models answer the same prompts: one in memory at a time, and what was said once is not asked again."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from palate.asking import Reply, Request, ResponseStore, ask_in_order
from palate.errors import CallError, ModelError
from palate.generate.local import LocalModel
from palate.recipe import CompareOptions, ModelOptions
from palate.records import Answer, Messages
from palate.watcher import Watcher

__all__ = ["Answered", "Contestant", "Unanswered", "ask_contestants", "named_apart"]

_BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model to be asked.

    `name` is what people read; `source` a Hub name, a model folder or an adapter's folder; `folder` where the
    base lies, for a name that neither the Hub nor the file system knows; `template` what it is asked in.
    """

    name: str
    source: str
    folder: Path | None = None
    template: str = "tokenizer"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A prompt that a model could not answer, such as one longer than it can read."""

    prompt: Messages
    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What every model said to every prompt. Prompts in = prompts answered by all + prompts set aside."""

    prompts: tuple[Messages, ...]
    answers: Mapping[str, tuple[tuple[Answer, ...], ...]]
    """By the model's name, the baseline first: for each prompt its answers, as many of each model."""
    set_aside: tuple[Unanswered, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """The names, the baseline first."""
        return tuple(self.answers)


def named_apart(contestants: Sequence[Contestant]) -> list[Contestant]:
    """The same, each with a name of its own: a model against itself is `name` and `name (2)`."""
    seen: Counter[str] = Counter()
    named = []
    for contestant in contestants:
        seen[contestant.name] += 1
        number = seen[contestant.name]
        named.append(contestant if number == 1 else replace(contestant, name=f"{contestant.name} ({number})"))
    return named


def ask_contestants(
    contestants: Sequence[Contestant],
    prompts: Sequence[Messages],
    options: CompareOptions,
    *,
    store: ResponseStore,
    model: ModelOptions,
    seed: int = 0,
    batch_size: int | None = None,
    watcher: Watcher | None = None,
) -> Answered:
    """Every model's answers. Each is in the store before the next is written: asked again, it is read there.

    Args:
        contestants: two or more, the baseline first.
        prompts: of these the first `options.num_prompts`.
        model: device, dtype, attention and quantization are used.
        seed: of the draws, where answers are sampled.
        batch_size: answers written at once, 32 where absent; halved where memory does not suffice.

    Raises:
        CallError: two contestants have one name, or there are no prompts. ModelError: a model cannot be
            loaded, or no prompt has an answer of every model.
    """
    watcher = watcher or Watcher()
    asked = list(prompts[: options.num_prompts])
    if len({contestant.name for contestant in contestants}) < len(contestants):
        raise CallError("two models have one name", where="compare", next="name them apart")
    if not asked:
        raise CallError("there are no prompts", where="compare")
    told: dict[str, list[list[Reply]]] = {}
    for contestant in contestants:
        told[contestant.name] = _ask(
            contestant, asked, options, store, model, seed, batch_size or _BATCH_SIZE, watcher
        )
    aside = [
        Unanswered(prompt, name, _problem(replies[place]))
        for place, prompt in enumerate(asked)
        for name, replies in told.items()
        if _problem(replies[place])
    ]
    without = {one.prompt for one in aside}
    kept = [place for place, prompt in enumerate(asked) if prompt not in without]
    if not kept:
        first = aside[0]
        raise ModelError("no prompt has an answer of every model", where=first.model, why=first.reason)
    answers = {
        name: tuple(tuple(_answer(reply, name) for reply in replies[place]) for place in kept)
        for name, replies in told.items()
    }
    return Answered(tuple(asked[place] for place in kept), answers, tuple(aside))


def _ask(
    contestant: Contestant,
    prompts: Sequence[Messages],
    options: CompareOptions,
    store: ResponseStore,
    model: ModelOptions,
    seed: int,
    batch_size: int,
    watcher: Watcher,
) -> list[list[Reply]]:
    """Load, ask, let go: only one of the models is in memory at a time."""
    local = LocalModel(
        contestant.source,
        store=store,
        folder=contestant.folder,
        options=model,
        template=contestant.template,
        batch_size=batch_size,
    )
    requests = [
        Request(
            contestant.source,
            prompt,
            sample=sample,
            temperature=options.temperature,
            top_p=options.top_p,
            max_tokens=options.max_new_tokens,
            seed=seed if options.temperature > 0 else None,
        )
        for prompt in prompts
        for sample in range(options.samples_per_prompt)
    ]
    replies = ask_in_order([(local, request) for request in requests], _Named(contestant.name, watcher))
    del local
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    size = options.samples_per_prompt
    return [replies[start : start + size] for start in range(0, len(replies), size)]


class _Named(Watcher):
    """Says whose answers are being written, where whoever writes them only says that somebody is asked."""

    def __init__(self, name: str, watcher: Watcher) -> None:
        self._name, self._watcher = name, watcher

    def note(self, text: str) -> None:
        self._watcher.note(text)

    def begin(self, task: str, total: int) -> None:
        self._watcher.begin(f"answers of {self._name}", total)

    def advance(self, done: int, detail: str = "") -> None:
        self._watcher.advance(done, detail)

    def end(self) -> None:
        self._watcher.end()


def _problem(replies: Sequence[Reply]) -> str:
    """Why a prompt has no answer. Text that was cut off, declines or is empty is one: it was said."""
    return next((reply.reason or reply.status for reply in replies if reply.status in _NO_ANSWER), "")


_NO_ANSWER = ("failed", "not_asked", "unparsed")


def _answer(reply: Reply, name: str) -> Answer:
    return Answer(reply.request.messages, reply.text, name, reply.finish_reason != "length")
