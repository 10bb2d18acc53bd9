"""Several completions of each prompt, each once, and every two of them as a comparison to be judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Any

from palate.asking import Reply, Request
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
from palate.records import Comparison, Message, Messages, Provenance, content_id
from palate.watcher import Watcher

__all__ = ["Candidate", "Candidates", "generate_candidates"]


_SEEDS_APART = 10_000
"""Samples of one seed never share a seed with those of another, up to so many of them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A completion of a prompt, and how it came about."""

    prompt: Messages
    text: str
    provenance: Provenance
    num_repeats: int = 0
    """How many more times the same was said, but for white space."""

    @property
    def id(self) -> str:
        """Names the content."""
        return content_id(self.prompt, self.text)

    def as_row(self) -> dict[str, Any]:
        """As plain data, one row of a JSONL file."""
        return {
            "id": self.id,
            "prompt": [message.as_dict() for message in self.prompt],
            "completion": [{"role": "assistant", "content": self.text}],
            "num_repeats": self.num_repeats,
            "source": self.provenance.source,
            "line": self.provenance.line,
            **self.provenance.detail,
        }


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates with those of a prompt together, their comparisons, and what was not used."""

    candidates: tuple[Candidate, ...]
    comparisons: tuple[Comparison, ...]
    set_aside: tuple[dict[str, Any], ...]
    """A row for each reply that is no answer, with its reason."""
    account: dict[str, Any]
    """Counts. Requests = candidates + repeats + those set aside."""


def generate_candidates(
    prompts: Sequence[Messages],
    generators: Sequence[Generator],
    *,
    source: str,
    lines: Sequence[int | None] | None = None,
    num_samples: int = 5,
    temperatures: Sequence[float] = (1.0,),
    top_p: float = 1.0,
    max_tokens: int = 1024,
    seed: int = 0,
    send_seed: bool = True,
    watcher: Watcher | None = None,
) -> Candidates:
    """`num_samples` completions of each prompt from each model at each temperature, and all their pairs.

    `source` and `lines`, one of each prompt, say in the provenance where the prompts stand. So 2 models, 2
    temperatures and 5 samples ask for 20 completions of a prompt. Of those that are the same but for white
    space the first stays. Only answers are candidates: what was truncated, refused or empty is set aside. k
    candidates of a prompt make k (k - 1) / 2 comparisons. Which stands first is balanced: of an odd number of
    candidates each does equally often, of an even number within one; `seed` decides how, and with `send_seed`
    each sample has a seed of its own made from it: not every server takes one.

    Raises:
        CallError: several samples are asked for at temperature 0, which always says the same; a model or a
            temperature is named twice; a number is out of bounds. PalateError: nothing can be asked at all.
    """
    _check(prompts, generators, num_samples, temperatures)
    lines = lines_of(prompts, lines)
    for temperature in temperatures:
        check_sampling(temperature, top_p, max_tokens)
    questions = [
        (
            generator,
            Request(
                generator.model,
                prompt,
                sample,
                temperature,
                top_p,
                max_tokens,
                seed=seed * _SEEDS_APART + sample if send_seed else None,
            ),
        )
        for prompt in prompts
        for generator in generators
        for temperature in temperatures
        for sample in range(num_samples)
    ]
    replies = ask_all(questions, watcher)
    candidates: list[Candidate] = []
    comparisons: list[Comparison] = []
    set_aside: list[dict[str, Any]] = []
    num_each, num_lonely = len(questions) // len(prompts), 0
    for number, prompt in enumerate(prompts):
        own = replies[number * num_each : (number + 1) * num_each]
        found = _each_once(prompt, own, source, lines[number])
        candidates += found
        comparisons += _compared(found, seed, number)
        where = prompt_row(prompt, source, lines[number])
        set_aside += [{**unusable_row(*item), **where} for item in own if not item[1].is_answer]
        num_lonely += len(found) < 2
    account = {
        "num_prompts": len(prompts),
        "num_prompts_without_pair": num_lonely,
        **count_replies([reply for _, reply in replies]),
        "num_repeats": sum(candidate.num_repeats for candidate in candidates),
        "num_candidates": len(candidates),
        "num_comparisons": len(comparisons),
    }
    return Candidates(tuple(candidates), tuple(comparisons), tuple(set_aside), account)


def _check(
    prompts: Sequence[Messages],
    generators: Sequence[Generator],
    num_samples: int,
    temperatures: Sequence[float],
) -> None:
    if not prompts or not generators or not temperatures or num_samples < 1:
        raise CallError("candidates need a prompt, a model, a temperature and a sample or more of each")
    names = [(generator.asker.server, generator.model) for generator in generators]
    if len(set(names)) < len(names):
        raise CallError("a model is named twice", where="model", next="ask for more samples of it instead")
    if len(set(temperatures)) < len(temperatures):
        raise CallError(
            "a temperature is named twice", where="temperature", next="ask for more samples instead"
        )
    if num_samples > 1 and 0 in temperatures:
        raise CallError(
            f"{num_samples} samples at temperature 0 would all say the same",
            where="temperature",
            next="sample with a temperature above 0, or ask for one sample",
        )
    if num_samples * len(generators) * len(temperatures) < 2:
        raise CallError(
            "one completion of a prompt makes no comparison",
            where="num_samples",
            next="ask for 2 samples or more, or for another model or temperature",
        )


def _each_once(
    prompt: Messages, replies: Sequence[tuple[Generator, Reply]], source: str, line: int | None
) -> list[Candidate]:
    found: dict[str, Candidate] = {}
    for generator, reply in replies:
        if not reply.is_answer:
            continue
        folded = " ".join(reply.text.split())
        earlier = found.get(folded)
        if earlier is None:
            provenance = Provenance(source, line, lineage(generator, reply))
            found[folded] = Candidate(prompt, reply.text.strip(), provenance)
        else:
            repeats = earlier.num_repeats + 1
            found[folded] = Candidate(prompt, earlier.text, earlier.provenance, repeats)
    return list(found.values())


def _compared(candidates: Sequence[Candidate], seed: int, number: int) -> list[Comparison]:
    """Every two of them. Seated in a circle, each stands first against those up to halfway round."""
    if not candidates:
        return []
    num = len(candidates)
    seats = Random(f"{seed} {content_id(candidates[0].prompt)}").sample(range(num), num)
    comparisons = []
    for i, j in combinations(range(num), 2):
        distance = (seats[j] - seats[i]) % num
        # Opposite seats are as far either way: turn about from prompt to prompt, so that of two models
        # neither stands first more often.
        first = 2 * distance < num if 2 * distance != num else (number + i + seed) % 2 == 0
        a, b = (candidates[i], candidates[j]) if first else (candidates[j], candidates[i])
        detail = {"a": dict(a.provenance.detail), "b": dict(b.provenance.detail)}
        where = Provenance(a.provenance.source, a.provenance.line, detail)
        comparisons.append(Comparison(a.prompt, _said(a), _said(b), where))
    return comparisons


def _said(candidate: Candidate) -> Messages:
    return (Message("assistant", candidate.text),)
