"""Trains the playground's base model: a tiny Llama, a plain torch loop, about a minute on two cores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from palate.playground.corpus import chats
from palate.playground.tokenizer import END, START, build_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = ["OnProgress", "Settings", "train_into"]

OnProgress = Callable[[int, int, float], None]
"""Called with (step, num_steps, loss) after every step."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about the model and its training that is not the world's text."""

    vocab_size: int = 1536
    hidden_size: int = 128
    num_layers: int = 3
    num_heads: int = 4
    num_key_value_heads: int = 2
    intermediate_size: int = 384
    initializer_range: float = 0.05
    max_length: int = 4096
    num_steps: int = 1400
    batch_size: int = 12
    learning_rate: float = 6e-3
    warmup_steps: int = 30
    weight_decay: float = 0.01
    num_tokenizer_chats: int = 2000
    num_batches_sorted_together: int = 20
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Example:
    ids: list[int]
    num_prompt_tokens: int


def train_into(folder: Path, settings: Settings, on_progress: OnProgress | None = None) -> float:
    """Train the model and save it as a Hugging Face folder. Returns the last step's loss.

    Random state, thread count and gradient mode of the caller are as before afterwards.
    """
    import torch

    num_threads = torch.get_num_threads()
    # One thread gives the same numbers whatever the number of cores. On matrices so small a second gains
    # little, and where other work shares the cores, threads waiting for each other cost several times more.
    torch.set_num_threads(1)
    try:
        return _train_into(folder, settings, on_progress)
    finally:
        torch.set_num_threads(num_threads)


def _train_into(folder: Path, settings: Settings, on_progress: OnProgress | None) -> float:
    import torch

    texts = (
        "".join(f"{m.role}\n{m.content}\n" for m in chat) for chat in chats(settings.num_tokenizer_chats, -1)
    )
    tokenizer = build_tokenizer(texts, settings.vocab_size, settings.max_length)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(settings.seed)
        model = _build_model(tokenizer, settings)
        loss = _train(model, _batches(tokenizer, settings), settings, on_progress)
    _save(folder, model, tokenizer)
    return loss


def _save(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    from transformers.utils import logging

    # Saving would draw a progress bar of its own; what is shown is the caller's to decide.
    bars_were_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    finally:
        if bars_were_on:
            logging.enable_progress_bar()


def _build_model(tokenizer: PreTrainedTokenizerFast, settings: Settings) -> LlamaForCausalLM:
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    special = {
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.num_heads,
        num_key_value_heads=settings.num_key_value_heads,
        max_position_embeddings=settings.max_length,
        initializer_range=settings.initializer_range,
        tie_word_embeddings=True,
        **special,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, max_new_tokens=64, **special
    )
    return model


def _train(
    model: LlamaForCausalLM,
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]],
    settings: Settings,
    on_progress: OnProgress | None,
) -> float:
    import torch
    from torch.nn import functional

    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    gains = [weight for weight in model.parameters() if weight.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": gains, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _learning_rate_share(step, settings))
    loss_value = math.nan
    model.train()
    for step, (ids_BT, targets_BT) in enumerate(batches, start=1):
        scored = targets_BT >= 0
        # Padding stands on the right and attention is causal: no scored position sees it, mask or none.
        hidden = model.model(input_ids=ids_BT, use_cache=False).last_hidden_state[scored]
        loss = functional.cross_entropy(model.lm_head(hidden), targets_BT[scored])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        loss_value = loss.item()
        if on_progress is not None:
            on_progress(step, settings.num_steps, loss_value)
    model.eval()
    return loss_value


def _learning_rate_share(step: int, settings: Settings) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.num_steps - settings.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


def _batches(
    tokenizer: PreTrainedTokenizerFast, settings: Settings
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Token ids [B, T] and next-token targets [B, T], -1 where nothing is to be learnt."""
    rng = Random(f"batches {settings.seed}")
    stretch = settings.batch_size * settings.num_batches_sorted_together
    examples = _examples(tokenizer, settings)
    for start in range(0, len(examples), stretch):
        # Chats of like length together waste little on padding.
        near = sorted(examples[start : start + stretch], key=lambda example: len(example.ids))
        cuts = list(range(0, len(near), settings.batch_size))
        rng.shuffle(cuts)
        for cut in cuts:
            yield _collate(near[cut : cut + settings.batch_size], int(tokenizer.pad_token_id))


def _examples(tokenizer: PreTrainedTokenizerFast, settings: Settings) -> list[_Example]:
    prompts, completions = [], []
    for chat in chats(settings.num_steps * settings.batch_size, settings.seed):
        turns = "".join(f"{START}{message.role}\n{message.content}{END}\n" for message in chat[:-1])
        prompts.append(f"{turns}{START}assistant\n")
        completions.append(f"{chat[-1].content}{END}")
    prompt_ids = tokenizer(prompts)["input_ids"]
    completion_ids = tokenizer(completions)["input_ids"]
    return [_Example(a + b, len(a)) for a, b in zip(prompt_ids, completion_ids, strict=True)]


def _collate(examples: list[_Example], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    longest = max(len(example.ids) for example in examples)
    ids_BT = torch.full((len(examples), longest), pad_id)
    targets_BT = torch.full((len(examples), longest), -1)
    for row, example in enumerate(examples):
        length = len(example.ids)
        ids_BT[row, :length] = torch.tensor(example.ids)
        targets_BT[row, example.num_prompt_tokens - 1 : length - 1] = torch.tensor(
            example.ids[example.num_prompt_tokens :]
        )
    return ids_BT, targets_BT
