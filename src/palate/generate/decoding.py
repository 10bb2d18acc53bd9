"""One batch of the local model's answers: each row draws by itself, and may be held to a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from palate.engine import Policy, Renderer
from palate.engine.generation import no_settings_of_its_own
from palate.errors import ModelError

__all__ = ["Decoded", "Row", "decode", "schema_tokenizer"]


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt and how its answer is drawn. `seed` is any number below 2**63."""

    prompt_ids: Sequence[int]
    temperature: float
    top_p: float
    seed: int
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """An answer as tokens, without the end token. `problem` tells why a schema could not be held to."""

    ids: tuple[int, ...]
    finished: bool
    problem: str = ""


def schema_tokenizer(policy: Policy, renderer: Renderer) -> Any:
    """The tokenizer as llguidance needs it to hold answers to schemas.

    Raises:
        ModelError: it cannot be used so.
    """
    import llguidance.hf

    size = max(len(policy.tokenizer), int(policy.text_config.vocab_size))
    try:
        return llguidance.hf.from_tokenizer(policy.tokenizer, n_vocab=size, eos_token=renderer.eos_id)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ModelError(
            "answers of this model cannot be held to a schema",
            where=policy.name,
            why=f"its tokenizer cannot be used for that: {error}",
            next="serve it with a server that can, and name its --base-url",
        ) from None


def decode(
    policy: Policy, renderer: Renderer, rows: Sequence[Row], max_new_tokens: int, tokenizer: Any = None
) -> list[Decoded]:
    """An answer to each row, all of them in one batch.

    A row's draw depends on its seed and not on the rows beside it, up to the rounding of the model's own
    numbers. `tokenizer` is `schema_tokenizer`'s, and needed where a row has a schema.
    """
    from transformers import LogitsProcessorList

    longest = max(len(row.prompt_ids) for row in rows)
    pad = policy.pad_token_id
    ids = [[pad] * (longest - len(row.prompt_ids)) + list(row.prompt_ids) for row in rows]
    mask = [[0] * (longest - len(row.prompt_ids)) + [1] * len(row.prompt_ids) for row in rows]
    draw = _Draw(rows, renderer, tokenizer, policy.device, longest)
    with policy.evaluating(), policy.autocast(), no_settings_of_its_own(policy.causal_lm):
        output = policy.causal_lm.generate(
            input_ids=torch.tensor(ids, device=policy.device),
            attention_mask=torch.tensor(mask, device=policy.device),
            max_new_tokens=max_new_tokens,
            eos_token_id=sorted(renderer.stop_ids),
            pad_token_id=pad,
            do_sample=False,
            logits_processor=LogitsProcessorList([draw]),
        )
    return [
        _decoded(row, renderer, problem)
        for row, problem in zip(output[:, longest:].tolist(), draw.problems, strict=True)
    ]


def _decoded(ids: list[int], renderer: Renderer, problem: str) -> Decoded:
    end = next((place for place, token in enumerate(ids) if token in renderer.stop_ids), None)
    return Decoded(tuple(ids[:end]), end is not None, problem)


class _Draw:
    """Turns the model's logits into ones whose largest is the token drawn, as transformers calls it.

    Adding Gumbel noise and taking the largest is drawing from the softmax (Gumbel 1954). So each row can have
    a generator of its own, where one shared by the batch would tie a row's draw to its neighbours.
    """

    def __init__(
        self, rows: Sequence[Row], renderer: Renderer, tokenizer: Any, device: torch.device, start: int
    ) -> None:
        self.rows, self.start = rows, start
        self.stop_ids, self.eos_id = renderer.stop_ids, renderer.eos_id
        self.problems = [""] * len(rows)
        self._done = [False] * len(rows)
        self._noise = [torch.Generator(device).manual_seed(row.seed) for row in rows]
        self._matchers = [None if row.schema is None else _matcher(row.schema, tokenizer) for row in rows]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.float()
        if input_ids.shape[1] > self.start:
            for place, token in enumerate(input_ids[:, -1].tolist()):
                self._take(place, token)
        for place, row in enumerate(self.rows):
            if self._done[place]:
                continue
            allowed = self._allowed(place, scores.shape[1])
            logits = scores[place]
            if allowed is not None:
                logits = logits.masked_fill(~allowed.to(logits.device), -torch.inf)
            scores[place] = _drawn(logits, row, self._noise[place])
        return scores

    def _take(self, place: int, token: int) -> None:
        matcher = self._matchers[place]
        if self._done[place] or token in self.stop_ids:
            self._done[place] = True
        elif matcher is not None:
            matcher.consume_token(token)

    def _allowed(self, place: int, num_tokens: int) -> Tensor | None:
        """Which tokens the schema allows; None where any may come."""
        matcher = self._matchers[place]
        if matcher is None:
            return None
        allowed = torch.zeros(num_tokens, dtype=torch.bool)
        if not matcher.is_error() and not matcher.is_stopped():
            bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
            found = np.unpackbits(bits, bitorder="little")[:num_tokens].astype(bool)
            allowed[: len(found)] = torch.from_numpy(found)
        if matcher.is_error():
            self.problems[place] = str(matcher.get_error()).partition("\n")[0][:200]
        if matcher.is_error() or matcher.is_stopped() or not allowed.any():
            allowed[:] = False
            allowed[self.eos_id] = True
        return allowed


def _matcher(schema: Mapping[str, Any], tokenizer: Any) -> Any:
    from llguidance import LLMatcher

    # Without white space to choose: a small model would go on with spaces for ever.
    grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides={"whitespace_flexible": False})
    return LLMatcher(tokenizer, grammar, log_level=0)


def _drawn(logits: Tensor, row: Row, generator: torch.Generator) -> Tensor:
    """Logits whose largest is the token drawn; at temperature 0 they are left as they are."""
    if row.temperature == 0:
        return logits
    logits = logits / row.temperature
    if row.top_p < 1:
        ordered, order = logits.sort(descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        logits = logits.masked_fill(
            torch.zeros_like(before, dtype=torch.bool).scatter(0, order, before >= row.top_p), -torch.inf
        )
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
    tiny = torch.finfo(torch.float32).tiny
    return logits - torch.log(-torch.log(uniform.clamp(tiny, 1 - 2**-24)))
