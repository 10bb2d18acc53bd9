"""Pairs as tokens, and an account of those that could not become any."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np

from palate.engine import Branch, Rendered, Renderer, UnusableRow
from palate.errors import DataError
from palate.recipe import DataOptions
from palate.records import Pair, SetAside

__all__ = ["Example", "ExampleSet", "encode_pairs"]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One pair as two branches. `prompt_id` is equal for pairs of one prompt."""

    pair: Pair
    chosen: Branch
    rejected: Branch
    prompt_id: str

    @property
    def key(self) -> str:
        """Names the content, so that an order made from it does not depend on the file's order."""
        return hashlib.sha256(self.chosen.key + b"\1" + self.rejected.key).hexdigest()


@dataclass(slots=True)
class ExampleSet:
    """The examples of a set of pairs, and what became of the others."""

    examples: list[Example] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    num_too_long: int = 0
    num_truncated: int = 0
    num_boundary_merges: int = 0

    def __len__(self) -> int:
        return len(self.examples)

    def set_aside_prompts(self, prompt_ids: Collection[str], reason: str) -> None:
        """Set aside the examples of these prompts."""
        self.set_aside += [_aside(e.pair, reason) for e in self.examples if e.prompt_id in prompt_ids]
        self.examples = [e for e in self.examples if e.prompt_id not in prompt_ids]


def encode_pairs(pairs: Iterable[Pair], renderer: Renderer, options: DataOptions) -> ExampleSet:
    """Write pairs out as tokens, within `options.max_length`.

    Raises:
        DataError: a pair is too long and `options.too_long` is `error`.
    """
    result = ExampleSet()
    for pair in pairs:
        try:
            sides = [renderer.render(pair.prompt, completion) for completion in (pair.chosen, pair.rejected)]
        except UnusableRow as reason:
            result.set_aside.append(_aside(pair, str(reason)))
            continue
        fitted = _fit(sides, options.max_length, options.too_long, renderer)
        if fitted is None:
            if options.too_long == "error":
                longest = max(len(side.branch) for side in sides)
                raise DataError(
                    f"{longest} tokens, data.max_length is {options.max_length}",
                    where=_aside(pair, "").place,
                    next="raise data.max_length, or set data.too_long to drop or truncate_prompt",
                )
            result.num_too_long += 1
            result.set_aside.append(_aside(pair, f"too long: more than {options.max_length} tokens"))
            continue
        chosen, rejected = fitted
        if (chosen.token_ids.tolist(), chosen.scored.tolist()) == (
            rejected.token_ids.tolist(),
            rejected.scored.tolist(),
        ):
            result.set_aside.append(
                _aside(pair, "chosen and rejected are identical once written out as tokens")
            )
            continue
        result.num_truncated += chosen is not sides[0].branch
        result.num_boundary_merges += sum(side.boundary_merged for side in sides)
        result.examples.append(Example(pair, chosen, rejected, pair.prompt_id))
    return result


def _fit(
    sides: list[Rendered], max_length: int, too_long: str, renderer: Renderer
) -> tuple[Branch, Branch] | None:
    """Both sides within the limit, or None. The same prompt tokens go from both, so they still share it."""
    excess = max(len(side.branch) for side in sides) - max_length
    if excess <= 0:
        return sides[0].branch, sides[1].branch
    num_prompt = min(side.num_prompt for side in sides)
    # A beginning-of-sequence token stays: models are lost without theirs.
    keep = 1 if int(sides[0].branch.token_ids[0]) == renderer.tokenizer.bos_token_id else 0
    if too_long != "truncate_prompt" or num_prompt - excess < keep + 1:
        return None
    chosen, rejected = (_without(side.branch, keep, keep + excess) for side in sides)
    return chosen, rejected


def _without(branch: Branch, start: int, stop: int) -> Branch:
    gone = slice(start, stop)
    return Branch(np.delete(branch.token_ids, gone), np.delete(branch.scored, gone))


def _aside(pair: Pair, reason: str) -> SetAside:
    return SetAside(pair.provenance.source, pair.provenance.line, reason)
