"""What only a tokenizer and its chat template can tell: `boundary`, `eos`, `truncation`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from palate.data.audit.check import AuditedRecord, Check
from palate.data.audit.draft import quoted
from palate.data.audit.finding import CheckName, Finding
from palate.data.audit.set_aside import rows
from palate.data.audit.sides import has_equal_sides
from palate.data.audit.tally import Tally, named_sides
from palate.records import Messages

__all__ = ["TokenCheck", "Tokenised", "Tokens"]

_BATCH = 128


@dataclass(frozen=True, slots=True)
class Tokenised:
    """A prompt and a completion as tokens, as far as the checks ask."""

    ids: Sequence[int]
    """All tokens, none cut off."""
    num_prompt: int
    boundary_merged: bool
    """Whether tokenising the whole would have merged across the end of the prompt."""


class Tokens(Protocol):
    """A tokenizer with its chat template, and the limits of a run. What the engine has, behind a door."""

    special_tokens: Sequence[str]
    """Spelled as in text."""
    bos_id: int | None
    max_length: int
    """The most tokens of prompt and completion together."""
    too_long: str
    """What happens to longer rows: `drop`, `truncate_prompt` or `error`."""
    ending: str
    """What the template puts after an answer: `one`, `none` or `several` end tokens, or plain `text`."""

    def tokenise(self, items: Sequence[tuple[Messages, Messages]]) -> list[Tokenised | str]:
        """Of each prompt and completion the tokens, or why there are none."""
        ...


class TokenCheck(Check):
    """One pass of the tokenizer for the three checks that need it; rows are tokenised in batches."""

    name: CheckName = "boundary"

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._waiting: list[AuditedRecord] = []
        self._num_rows = self._num_at_boundaries = 0
        self._num_sides: Counter[str] = Counter()
        self._long_sides: Counter[str] = Counter()
        self._merged, self._double_bos = Tally(), Tally()
        self._refused, self._long, self._full_prompts, self._same = Tally(), Tally(), Tally(), Tally()
        self._reasons: Counter[str] = Counter()

    def see(self, record: AuditedRecord) -> None:
        self._waiting.append(record)
        if len(self._waiting) >= _BATCH:
            self._tokenise()

    def _tokenise(self) -> None:
        items, of = [], []
        for record in self._waiting:
            for side, completion in named_sides(record):
                items.append((record.record.prompt, completion))
                of.append(side)
        found = iter(zip(of, self._tokens.tokenise(items), strict=True))
        for record in self._waiting:
            self._judge(record, [next(found) for _ in record.completions])
        self._waiting.clear()

    def _judge(self, record: AuditedRecord, sides: list[tuple[str, Tokenised | str]]) -> None:
        self._num_rows += 1
        reasons = [found for _, found in sides if isinstance(found, str)]
        if reasons:
            self._reasons[reasons[0]] += 1
            self._refused.add(record, **quoted(record), why=reasons[0])
            return
        usable = [(side, found) for side, found in sides if isinstance(found, Tokenised)]
        limit, bos = self._tokens.max_length, self._tokens.bos_id
        is_merged = any(found.boundary_merged for _, found in usable)
        is_double = bos is not None and any(list(found.ids[:2]) == [bos, bos] for _, found in usable)
        self._num_at_boundaries += is_merged or is_double
        if is_merged:
            self._merged.add(record, **quoted(record))
        if is_double:
            self._double_bos.add(record, **quoted(record))
        self._num_sides.update(side for side, _ in usable)
        long_sides = [side for side, found in usable if len(found.ids) > limit]
        self._long_sides.update(long_sides)
        if long_sides:
            self._long.add(record, **quoted(record), sides=", ".join(long_sides))
        if any(found.num_prompt >= limit for _, found in usable):
            self._full_prompts.add(record, **quoted(record))
        beginnings = {tuple(found.ids[:limit]) for _, found in usable}
        # Sides that are equal as texts were counted as such.
        if len(beginnings) < len(usable) and not has_equal_sides(record):
            self._same.add(record, **quoted(record))

    def findings(self) -> Iterator[Finding]:
        self._tokenise()
        yield from self._about_boundaries()
        yield from self._about_endings()
        yield from self._about_truncation()
        if count := self._same.count:
            yield Finding(
                "identical_pair",
                "error",
                count,
                tuple(self._same.examples),
                f"In {rows(count)} two completions are the same tokens within data.max_length = "
                f"{self._tokens.max_length}: nothing is left that tells them apart.",
                "Raise data.max_length, or drop these rows. Palate sets them aside before training; other "
                "trainers do not.",
                {"num_equal_within_max_length": count},
            )

    def _about_boundaries(self) -> Iterator[Finding]:
        merged, double = self._merged, self._double_bos
        if not merged.count + double.count:
            return
        said = []
        if merged.count:
            said.append(
                f"In {rows(merged.count)} tokens merge across the end of the prompt; Palate tokenises these "
                "completions apart; trainers that cut the whole at the prompt's length train on wrong tokens."
            )
        if double.count:
            said.append(f"In {rows(double.count)} the text begins with a second beginning-of-sequence token.")
        yield Finding(
            "boundary",
            "warning" if double.count else "info",
            self._num_at_boundaries,
            tuple((double.examples + merged.examples)[:5]),
            " ".join(said),
            "Take a template that ends the prompt with a special token or a line break (data.template), and "
            "take beginning marks out of the text.",
            {"num_merged": merged.count, "num_double_bos": double.count, "num_rows": self._num_rows},
            self._num_at_boundaries,
        )

    def _about_endings(self) -> Iterator[Finding]:
        ending, refused = self._tokens.ending, self._refused
        if (ending == "one" or not self._num_rows) and not refused.count:
            return
        template = {
            "none": "The template ends an answer with no end token; Palate adds one, other trainers may not.",
            "text": "The template ends an answer with plain text, not with an end token; Palate puts the end "
            "token in its place, other trainers may not.",
            "several": "The template ends an answer with several end tokens; Palate keeps the first.",
        }.get(ending, "")
        why = "; ".join(f"{count:,} x {reason}" for reason, count in self._reasons.most_common(3))
        told = f"{rows(refused.count)} cannot be written out as tokens: {why}." if refused.count else ""
        yield Finding(
            "eos",
            "warning" if refused.count else "info",
            refused.count or self._num_rows,
            tuple(refused.examples),
            f"{told} {template}".strip(),
            "Take end marks out of the text; name a template that ends turns with the model's own end token "
            "(data.template).",
            {"template_ending": ending, "num_refused": refused.count, "reasons": dict(self._reasons)},
            0 if refused.count else self._num_rows,
        )

    def _about_truncation(self) -> Iterator[Finding]:
        long, tokens = self._long, self._tokens
        if not long.count:
            return
        shares = {side: self._long_sides[side] / num for side, num in self._num_sides.items()}
        told = ", ".join(f"{share:.1%} of {side}" for side, share in shares.items() if share)
        fate = {
            "drop": "such rows are dropped",
            "truncate_prompt": "the beginnings of their prompts are cut off",
            "error": "such a row stops the run",
        }[tokens.too_long]
        yield Finding(
            "truncation",
            "warning",
            long.count,
            tuple(long.examples),
            f"{rows(long.count)} of {self._num_rows:,} take more than data.max_length = "
            f"{tokens.max_length} tokens ({told}); with data.too_long = {tokens.too_long} {fate}. In "
            f"{rows(self._full_prompts.count)} the prompt alone fills it. Where one side is cut more often, "
            "length decides who is left.",
            "Raise data.max_length, or drop long rows: palate data curate FILE -o OUT, with --max-chars and "
            "--max-prompt-chars.",
            {
                "num_rows": self._num_rows,
                "num_prompt_fills": self._full_prompts.count,
                "share_too_long": shares,
                "max_length": tokens.max_length,
            },
            0 if tokens.too_long == "drop" else long.count,
        )
