"""A checkpoint as a reward model: its config, its score head, and which token is padding.

The result is what transformers calls sequence classification with one label, so whatever reads such models
reads these.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from palate.errors import ModelError

__all__ = ["SCORE_WEIGHT", "finish_reward_model", "reward_config"]

SCORE_WEIGHT = "score.weight"
"""What the score head is called in a checkpoint."""

_USUAL_STD = 0.02


def reward_config(config: Any, name: str) -> None:
    """Make a checkpoint's config say that there is one label, a number.

    Raises:
        ModelError: the checkpoint classifies into several, or transformers has no such model of its family.
    """
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ModelError(
            "there is no reward model of this family",
            where=f"model.base = {name}",
            why=f"transformers has no sequence classification for {config.model_type}",
            next="name a base of another family, such as llama, qwen2, qwen3, mistral or gemma2",
        )
    classifies = any("ForSequenceClassification" in kind for kind in config.architectures or ())
    if classifies and config.num_labels != 1:
        raise ModelError(
            f"this model tells {config.num_labels} labels apart, and a reward model has one score",
            where=f"model.base = {name}",
            next="name a language model, or a reward model with one label",
        )
    config.num_labels = 1
    config.problem_type = "regression"


def finish_reward_model(model: Any, tokenizer: Any, folder: Path, *, seed: int | None) -> None:
    """What is left to do once the transformer's weights are loaded.

    The score head is held in fp32. Where the checkpoint has none its weights are drawn from a normal
    distribution with the config's `initializer_range` for its standard deviation, by `seed` alone; None keeps
    the checkpoint's.

    A padding token is chosen where the config names none: transformers reads the score at the last token that
    is not padding, so it must not be one that ends an answer.
    """
    head = model.score.float()
    if seed is not None:
        text = model.config.get_text_config()
        std = float(getattr(text, "initializer_range", None) or _USUAL_STD)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * std)
    model.generation_config = _stops_only(model.config, folder)
    _choose_padding(model, tokenizer)


def _stops_only(config: Any, folder: Path) -> Any:
    """The generation settings a classifier is loaded without, less all that does not end an answer."""
    from transformers import GenerationConfig

    if (folder / "generation_config.json").is_file():
        settings = GenerationConfig.from_pretrained(folder)
    else:
        settings = GenerationConfig.from_model_config(config)
    return GenerationConfig(eos_token_id=settings.eos_token_id)


def _choose_padding(model: Any, tokenizer: Any) -> None:
    text = model.config.get_text_config()
    if text.pad_token_id is None:
        text.pad_token_id = _padding_token(model, tokenizer)
        model.config.pad_token_id = text.pad_token_id
        # So that what is saved beside the model pads with what the model takes for padding.
        if text.pad_token_id is not None:
            tokenizer.pad_token = tokenizer.convert_ids_to_tokens(text.pad_token_id)


def _padding_token(model: Any, tokenizer: Any) -> int | None:
    """The tokenizer's own, or else another special token; None where each of them may end an answer."""
    stops = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(stops if isinstance(stops, list) else [stops])}
    template = str(tokenizer.chat_template or "")
    special = sorted(i for i, token in tokenizer.added_tokens_decoder.items() if token.special)
    for candidate in (tokenizer.pad_token_id, tokenizer.unk_token_id, *special):
        if candidate is None or candidate in ends or candidate >= model.config.get_text_config().vocab_size:
            continue
        if tokenizer.convert_ids_to_tokens(candidate) not in template:
            return int(candidate)
    return None
