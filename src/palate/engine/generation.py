"""Batched generation with the local model: greedy or sampled, the decoding loop being transformers' own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from palate.engine.policy import Policy
from palate.engine.tokens import Renderer
from palate.records import Answer, Messages

__all__ = ["Sampling", "generate", "no_settings_of_its_own"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn. temperature 0 is greedy."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


def generate(
    policy: Policy,
    renderer: Renderer,
    prompts: Sequence[Messages],
    sampling: Sampling,
    *,
    batch_size: int = 32,
    name: str = "",
    on_batch: Callable[[int, int], None] | None = None,
) -> list[Answer]:
    """One answer to each prompt, in order, by the policy as it stands (inside `as_reference`, by the base).

    Prompts of similar length are answered together, so little is padded; the same call with the same seed
    gives the same answers.
    """
    ids = [renderer.prompt_ids(prompt) for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda i: len(ids[i]))
    answers: dict[int, Answer] = {}
    with policy.evaluating(), torch.random.fork_rng(devices=_rng_devices(policy.device)):
        torch.manual_seed(sampling.seed)
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            texts = _generate_batch(policy, renderer, [ids[i] for i in batch], sampling)
            for i, (text, finished) in zip(batch, texts, strict=True):
                answers[i] = Answer(prompts[i], text, name or policy.name, finished)
            if on_batch is not None:
                on_batch(len(answers), len(prompts))
    return [answers[i] for i in range(len(prompts))]


def _generate_batch(
    policy: Policy, renderer: Renderer, ids: Sequence[Sequence[int]], sampling: Sampling
) -> list[tuple[str, bool]]:
    longest = max(len(row) for row in ids)
    pad = policy.pad_token_id
    padded = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in ids], device=policy.device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids], device=policy.device)
    settings = {
        "max_new_tokens": sampling.max_new_tokens,
        "eos_token_id": sorted(renderer.stop_ids),
        "pad_token_id": pad,
        "do_sample": sampling.temperature > 0,
    }
    if sampling.temperature > 0:
        settings |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    with policy.autocast(), no_settings_of_its_own(policy.causal_lm):
        output = policy.causal_lm.generate(input_ids=padded, attention_mask=mask, **settings)
    return [_read_answer(renderer, row) for row in output[:, longest:].tolist()]


@contextmanager
def no_settings_of_its_own(causal_lm: Any) -> Iterator[None]:
    """A model's generation_config fills in whatever is not said: penalties, forced tokens, least lengths."""
    from transformers import GenerationConfig

    own = causal_lm.generation_config
    causal_lm.generation_config = GenerationConfig()
    try:
        yield
    finally:
        causal_lm.generation_config = own


def _read_answer(renderer: Renderer, ids: list[int]) -> tuple[str, bool]:
    end = next((i for i, token in enumerate(ids) if token in renderer.stop_ids), None)
    text = renderer.tokenizer.decode(ids if end is None else ids[:end], skip_special_tokens=True)
    return str(text), end is not None


def _rng_devices(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
