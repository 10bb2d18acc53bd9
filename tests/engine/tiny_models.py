"""Random models of real architectures, a few thousand weights each, as policies.

Their weights are large enough that attention matters: with the usual initialisation of 0.02 every answer is
about as likely as any other, and a wrong mask would hardly show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from palate.engine import Branch, Policy
from palate.engine.adapter import add_lora
from palate.recipe import LoraOptions

VOCABULARY = 97

_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.2,
}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", "tie_word_embeddings": False},
    "qwen2": {"model_type": "qwen2"},
    "qwen2-sliding": {
        "model_type": "qwen2",
        "use_sliding_window": True,
        "sliding_window": 5,
        "max_window_layers": 1,
    },
    "qwen3": {"model_type": "qwen3"},
    "mistral-sliding": {"model_type": "mistral", "sliding_window": 5},
    "gemma2": {"model_type": "gemma2", "sliding_window": 5, "query_pre_attn_scalar": 8},
    "gemma3": {
        "model_type": "gemma3_text",
        "sliding_window": 5,
        "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "full_attention"],
    },
}
"""Every one that the tree must serve. Windows are shorter than the sequences of `tiny_branches`."""


def tiny_config(name: str, **changes: Any) -> Any:
    """The config of one of ARCHITECTURES, or of a transformers model type by its own name."""
    options = _SHAPE | ARCHITECTURES.get(name, {"model_type": name}) | changes
    return AutoConfig.for_model(options.pop("model_type"), **options)


def tiny_model(
    config: Any, attention: str = "sdpa", dtype: torch.dtype = torch.float32, seed: int = 0
) -> Any:
    """A random model; norms and biases are random too, so that nothing is right by being zero or one."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.data.add_(torch.randn_like(parameter) * 0.1)
        del name
    return model.to(dtype)


def tiny_policy(
    model: Any,
    adapter: LoraOptions | None = None,
    *,
    attention: str = "sdpa",
    folder: Path = Path("nowhere"),
    compute_dtype: torch.dtype | None = None,
    awaken: bool = True,
) -> Policy:
    """A policy over a model in memory. `awaken` gives a fresh adapter weights that do something."""
    trained: nn.Module = model
    if adapter is not None:
        trained = add_lora(model, adapter, seed=0)
        if awaken:
            awaken_adapter(trained)
    return Policy(
        model=trained.eval(),
        base_model=model,
        tokenizer=SimpleNamespace(pad_token_id=0, eos_token_id=2),
        folder=folder,
        device=torch.device("cpu"),
        attention=attention,
        compute_dtype=compute_dtype or model.dtype,
        name="tiny",
        source="tiny",
    )


def awaken_adapter(model: nn.Module, seed: int = 1) -> None:
    """Random numbers for the half of a LoRA adapter that starts at zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "lora_embedding_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator).to(parameter) * 0.2


def branch(prompt: Sequence[int], completion: Sequence[int]) -> Branch:
    """A branch whose whole completion is scored."""
    ids = np.array([*prompt, *completion], np.int64)
    return Branch(ids, np.arange(len(ids)) >= len(prompt))


def tokens(rng: np.random.Generator, length: int) -> list[int]:
    """Random ordinary tokens."""
    return rng.integers(3, VOCABULARY, length).tolist()


def tiny_branches(kind: str, seed: int = 0) -> list[Branch]:
    """Batches as training draws them: `single`, `pairs`, `group`, `forest`."""
    rng = np.random.default_rng(seed)
    return _BATCHES[kind](rng)


def _single(rng: np.random.Generator) -> list[Branch]:
    return [branch(tokens(rng, 9), tokens(rng, 8))]


def _pairs(rng: np.random.Generator) -> list[Branch]:
    prompt, start = tokens(rng, 11), tokens(rng, 3)
    # The two sides begin alike, as real answers do, and differ in length.
    return [branch(prompt, [*start, *tokens(rng, 7)]), branch(prompt, [*start, *tokens(rng, 4)])]


def _group(rng: np.random.Generator) -> list[Branch]:
    """Ten pairs over five completions."""
    prompt = tokens(rng, 12)
    five = [branch(prompt, tokens(rng, length)) for length in (3, 9, 6, 1, 8)]
    return [five[side] for a in range(5) for b in range(a) for side in (a, b)]


def _forest(rng: np.random.Generator) -> list[Branch]:
    """Several unrelated prompts, a repeated branch, and a branch that begins another."""
    first, second = _pairs(rng), _pairs(rng)
    prompt, completion = tokens(rng, 7), tokens(rng, 9)
    nested = [branch(prompt, completion), branch(prompt, completion[:4])]
    return [*first, *nested, *second, first[0], *_single(rng)]


_BATCHES: Mapping[str, Any] = {"single": _single, "pairs": _pairs, "group": _group, "forest": _forest}
