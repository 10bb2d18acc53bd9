"""A small model on disk, with its tokenizer, as a user would have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tiny_models import tiny_config, tiny_model
from tiny_tokenizers import make_tokenizer


def save_tiny(folder: Path, name: str = "llama", dtype: torch.dtype = torch.float32, **changes: Any) -> Path:
    """Weights large enough to have opinions, so that greedy answers differ from prompt to prompt."""
    tokenizer = make_tokenizer("bytes")
    config = tiny_config(
        name,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **changes,
    )
    # Any kernel makes the same weights; not every model has every kernel.
    tiny_model(config, "eager", dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
