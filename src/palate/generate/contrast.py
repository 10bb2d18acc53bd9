"""The same prompts to a strong and a weak model: chosen from the one, rejected from the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palate.asking import Request
from palate.errors import CallError
from palate.generate.asking import (
    Generator,
    ask_all,
    check_sampling,
    count_replies,
    lineage,
    lines_of,
    prompt_row,
    unusable_row,
)
from palate.records import Message, Messages, Pair, Provenance
from palate.watcher import Watcher

__all__ = ["Contrast", "generate_contrast"]


@dataclass(frozen=True, slots=True)
class Contrast:
    """Pairs of a strong and a weak answer, and what was not used."""

    pairs: tuple[Pair, ...]
    set_aside: tuple[dict[str, Any], ...]
    """A row for each reply that is no answer, and for each prompt that both answered alike."""
    account: dict[str, Any]
    """Counts. Prompts = pairs + identical + those without two answers."""


def generate_contrast(
    prompts: Sequence[Messages],
    strong: Generator,
    weak: Generator,
    *,
    source: str,
    lines: Sequence[int | None] | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_tokens: int = 1024,
    seed: int | None = 0,
    watcher: Watcher | None = None,
) -> Contrast:
    """One answer of each model to each prompt. Answers that are the same but for white space make no pair.
    `seed` goes to the models, None to none. `source` and `lines`, one of each prompt, say in the provenance
    where the prompts stand.

    Nobody compared the answers: that the strong model's is better is an assumption about the models.

    Raises:
        CallError: there is no prompt, or both are one model. PalateError: nothing can be asked at all.
    """
    if not prompts:
        raise CallError("there is no prompt")
    lines = lines_of(prompts, lines)
    check_sampling(temperature, top_p, max_tokens)
    if (strong.asker.server, strong.model) == (weak.asker.server, weak.model):
        raise CallError("strong and weak are one model", where=strong.model, next="name two models")
    questions = [
        (generator, Request(generator.model, prompt, 0, temperature, top_p, max_tokens, seed=seed))
        for prompt in prompts
        for generator in (strong, weak)
    ]
    replies = ask_all(questions, watcher)
    pairs: list[Pair] = []
    set_aside: list[dict[str, Any]] = []
    num_identical = 0
    for number, prompt in enumerate(prompts):
        own = replies[2 * number : 2 * number + 2]
        where = prompt_row(prompt, source, lines[number])
        set_aside += [{**unusable_row(*item), **where} for item in own if not item[1].is_answer]
        (_, good), (_, bad) = own
        if not (good.is_answer and bad.is_answer):
            continue
        if good.text.split() == bad.text.split():
            num_identical += 1
            row = {**lineage(strong, good), "weak": lineage(weak, bad), "text": good.text}
            set_aside.append({"stage": "pairing", "reason": "both models said the same", **row, **where})
            continue
        detail = {"strong": lineage(strong, good), "weak": lineage(weak, bad)}
        chosen, rejected = (_said(reply.text) for reply in (good, bad))
        pairs.append(Pair(prompt, chosen, rejected, Provenance(source, lines[number], detail)))
    account = {
        "num_prompts": len(prompts),
        **count_replies([reply for _, reply in replies]),
        "num_identical": num_identical,
        "num_without_two_answers": len(prompts) - len(pairs) - num_identical,
        "num_pairs": len(pairs),
    }
    return Contrast(tuple(pairs), tuple(set_aside), account)


def _said(text: str) -> Messages:
    return (Message("assistant", text.strip()),)
