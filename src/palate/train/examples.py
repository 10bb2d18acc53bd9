"""Records as tokens, and an account of those that could not become any."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from palate.data import Record
from palate.engine import Branch, Rendered, Renderer, UnusableRow
from palate.errors import DataError
from palate.recipe import DataOptions
from palate.records import Labelled, Messages, Pair, Ranking, SetAside

__all__ = ["Example", "ExampleSet", "encode_records", "with_mismatched"]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One record as branches of one prompt: a pair's two, chosen first; a ranking's, best first; or one.

    `mismatched` is the prompt with a completion that belongs to another, for objectives that estimate a KL.
    """

    record: Record
    branches: tuple[Branch, ...]
    mismatched: Branch | None = None

    @property
    def prompt_id(self) -> str:
        """Equal for examples of one prompt."""
        return self.record.prompt_id

    @property
    def key(self) -> str:
        """Names the content, so that an order made from it does not depend on the file's order."""
        content = b"\1".join(branch.key for branch in self.branches)
        if isinstance(self.record, Labelled):
            content += b"\2" + bytes([self.record.desirable])
        return hashlib.sha256(content).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Names all of it that training reads, the margin and the weight too."""
        return f"{self.key} {getattr(self.record, 'margin', None)} {self.record.weight}"

    @property
    def num_target_tokens(self) -> int:
        """The scored tokens of the preferred completion."""
        return self.branches[0].num_scored


@dataclass(slots=True)
class ExampleSet:
    """The examples of a set of records, and what became of the others."""

    examples: list[Example] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    num_too_long: int = 0
    num_truncated: int = 0
    num_boundary_merges: int = 0

    def __len__(self) -> int:
        return len(self.examples)

    def set_aside_prompts(self, prompt_ids: Collection[str], reason: str) -> None:
        """Set aside the examples of these prompts."""
        self.set_aside += [_aside(e.record, reason) for e in self.examples if e.prompt_id in prompt_ids]
        self.examples = [e for e in self.examples if e.prompt_id not in prompt_ids]


def encode_records(records: Iterable[Record], renderer: Renderer, options: DataOptions) -> ExampleSet:
    """Write records out as tokens, within `options.max_length`.

    Raises:
        DataError: a record is too long and `options.too_long` is `error`.
    """
    result = ExampleSet()
    for record in records:
        try:
            sides = [renderer.render(record.prompt, completion) for completion in completions_of(record)]
        except UnusableRow as reason:
            result.set_aside.append(_aside(record, str(reason)))
            continue
        fitted = _fit(sides, options.max_length, options.too_long, renderer)
        if fitted is None:
            if options.too_long == "error":
                longest = max(len(side.branch) for side in sides)
                raise DataError(
                    f"{longest} tokens, data.max_length is {options.max_length}",
                    where=_aside(record, "").place,
                    next="raise data.max_length, or set data.too_long to drop or truncate_prompt",
                )
            result.num_too_long += 1
            result.set_aside.append(_aside(record, f"too long: more than {options.max_length} tokens"))
            continue
        if len({branch.key for branch in fitted}) < len(fitted):
            result.set_aside.append(_aside(record, _SAME_TOKENS[type(record)]))
            continue
        result.num_truncated += fitted[0] is not sides[0].branch
        result.num_boundary_merges += sum(side.boundary_merged for side in sides)
        result.examples.append(Example(record, fitted))
    return result


_SAME_TOKENS = {
    Pair: "chosen and rejected are identical once written out as tokens",
    Ranking: "two of its completions are identical once written out as tokens",
}


def completions_of(record: Record) -> tuple[Messages, ...]:
    """Its completions, the preferred first."""
    if isinstance(record, Pair):
        return record.chosen, record.rejected
    return record.completions if isinstance(record, Ranking) else (record.completion,)


def with_mismatched(
    examples: Sequence[Example], renderer: Renderer, options: DataOptions, where: str
) -> list[Example]:
    """Every example with its prompt answered by a completion that belongs to another prompt.

    Whose it is depends on the content alone, so it is the same in every epoch and for every seed, and the
    reference cache has it. An example for which none fits is left without and not part of the estimate.

    Raises:
        DataError: there is only one prompt.
    """
    ordered = sorted(examples, key=lambda example: example.key)
    if len({example.prompt_id for example in ordered}) < 2:
        raise DataError(
            "a KL estimate needs completions of at least two prompts, and there is one",
            where=where,
            next="add prompts, or take an objective without such an estimate: palate objectives",
        )
    mismatched = {}
    for i, example in enumerate(ordered):
        others = (ordered[(i + j) % len(ordered)] for j in range(1, len(ordered)))
        other = next(other for other in others if other.prompt_id != example.prompt_id)
        mismatched[id(example)] = _cross(example, other, renderer, options)
    return [replace(example, mismatched=mismatched[id(example)]) for example in examples]


def _cross(example: Example, other: Example, renderer: Renderer, options: DataOptions) -> Branch | None:
    try:
        side = renderer.render(example.record.prompt, completions_of(other.record)[0])
    except UnusableRow:
        return None
    fitted = _fit([side], options.max_length, options.too_long, renderer)
    return fitted[0] if fitted is not None else None


def _fit(
    sides: list[Rendered], max_length: int, too_long: str, renderer: Renderer
) -> tuple[Branch, ...] | None:
    """All sides within the limit, or None. The same prompt tokens go from each, so they still share it."""
    excess = max(len(side.branch) for side in sides) - max_length
    if excess <= 0:
        return tuple(side.branch for side in sides)
    num_prompt = min(side.num_prompt for side in sides)
    # A beginning-of-sequence token stays: models are lost without theirs.
    keep = 1 if int(sides[0].branch.token_ids[0]) == renderer.tokenizer.bos_token_id else 0
    if too_long != "truncate_prompt" or num_prompt - excess < keep + 1:
        return None
    return tuple(_without(side.branch, keep, keep + excess) for side in sides)


def _without(branch: Branch, start: int, stop: int) -> Branch:
    gone = slice(start, stop)
    return Branch(np.delete(branch.token_ids, gone), np.delete(branch.scored, gone))


def _aside(record: Record, reason: str) -> SetAside:
    return SetAside(record.provenance.source, record.provenance.line, reason)
