"""A model as the engine holds it: to be scored, trained, sampled, and asked for its base."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from palate.engine.head import LanguageHead

__all__ = ["Policy"]


@dataclass(eq=False)
class Policy:
    """A causal language model ready to be scored, trained and sampled.

    `model` is what is trained: a peft model over `causal_lm`, or `causal_lm` itself.
    """

    model: nn.Module
    causal_lm: Any
    tokenizer: Any
    folder: Path
    device: torch.device
    attention: str
    compute_dtype: torch.dtype
    """What activations are in; the weights' own dtype but for full fine-tuning over autocast."""
    name: str
    """What people call it."""
    source: str
    """What finds the base again: a Hub name or a folder."""
    revision: str | None = None
    """Which branch, tag or commit of a Hub model it is, where not the main one."""

    def __post_init__(self) -> None:
        config = self.causal_lm.config
        self.text_config = config.get_text_config() if hasattr(config, "get_text_config") else config
        self.decoder = self.causal_lm.get_decoder()
        self.pad_token_id: int = _pad_token_id(self.tokenizer)

    @property
    def head(self) -> LanguageHead:
        """The map from hidden states to log-probabilities, as it stands now (peft may have wrapped it)."""
        return LanguageHead(self.causal_lm.get_output_embeddings(), self.text_config)

    @property
    def has_adapter(self) -> bool:
        """Whether the base can be had back by switching an adapter off."""
        return hasattr(self.model, "disable_adapter")

    def hidden_states(self, token_ids: Tensor, attention_mask: Any, position_ids: Tensor) -> Tensor:
        """Hidden states after the final norm, [rows, tokens, hidden size]."""
        output = self.decoder(
            input_ids=token_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
        )
        return output.last_hidden_state

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Mixed precision where weights are held in more than the compute dtype, else nothing.

        LoRA sees to its own fp32 weights (`lora.py`); modules trained whole beside it do not. The answer is
        the same inside `as_reference`, or policy and reference would round differently.
        """
        if any(
            weight.dtype != self.compute_dtype
            and ".lora_" not in name
            and (weight.requires_grad or ".modules_to_save." in name)
            for name, weight in self.causal_lm.named_parameters()
        ):
            return torch.autocast(self.device.type, dtype=self.compute_dtype)
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def as_reference(self) -> Iterator[None]:
        """The base model: adapter off, dropout off, no gradient."""
        was_training = self.model.training
        self.model.eval()
        adapter_off = self.model.disable_adapter() if self.has_adapter else contextlib.nullcontext()  # type: ignore[operator]
        try:
            with torch.no_grad(), adapter_off:
                yield
        finally:
            self.model.train(was_training)

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """The policy as it stands: dropout off, no gradient."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.train(was_training)

    def stop_ids(self) -> list[int]:
        """The tokens the model's own generation settings end an answer with, beside the tokenizer's."""
        stops = getattr(self.causal_lm.generation_config, "eos_token_id", None)
        if stops is None:
            return []
        return [int(stop) for stop in stops] if isinstance(stops, list) else [int(stops)]

    def trainable_parameters(self) -> list[nn.Parameter]:
        """What the optimizer moves."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def _pad_token_id(tokenizer: Any) -> int:
    for candidate in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if candidate is not None:
            return int(candidate)
    return 0
