"""A model as the engine holds it: to be scored, trained, sampled, and asked for its base."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from palate.engine.head import LanguageHead
from palate.engine.sharding import Sharding, whole

__all__ = ["Head", "Policy"]

Head = Literal["logps", "scores"]
"""What a model is asked for: log-probabilities of completions, or a scalar score of each."""


@dataclass(eq=False)
class Policy:
    """A model ready to be scored and trained: a causal language model, or a reward model.

    `model` is what is trained: a peft model over `base_model`, or `base_model` itself. A reward model is the
    same transformer with a linear map to one number, `score`, where a causal language model has its head
    (transformers' sequence classification with one label).
    """

    model: nn.Module
    base_model: Any
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
    quantization: str = "none"
    """How the base's linear layers are held, such as `nf4+double`: a part of the reference's numerics."""
    start_hash: str = ""
    """sha256 of the adapter that it came with; empty where it is the base, or has a fresh one."""
    notes: tuple[str, ...] = ()
    """What a person should know about how it was loaded."""
    sharding: Sharding | None = None
    """How its model is divided among processes; None where this one has all of it."""

    def __post_init__(self) -> None:
        config = self.base_model.config
        self.text_config = config.get_text_config() if hasattr(config, "get_text_config") else config
        self.decoder = self.base_model.get_decoder()
        self.pad_token_id: int = _pad_token_id(self.tokenizer)

    @property
    def is_reward_model(self) -> bool:
        """Whether it gives completions a score, and no probability."""
        return hasattr(self.base_model, "score")

    @property
    def causal_lm(self) -> Any:
        """The bare language model, to be asked for logits or to generate.

        Raises:
            ValueError: it is a reward model, which has no such thing.
        """
        if self.is_reward_model:
            raise ValueError(f"{self.name} is a reward model: it scores completions and writes none")
        return self.base_model

    @property
    def score_head(self) -> nn.Module:
        """The map from a hidden state to a score, as it stands now (peft may have wrapped it).

        Raises:
            ValueError: it is no reward model.
        """
        if not self.is_reward_model:
            raise ValueError(f"{self.name} is no reward model: it has no score head")
        head: nn.Module = self.base_model.score
        return head

    @property
    def head(self) -> LanguageHead:
        """The map from hidden states to log-probabilities, as it stands now (peft may have wrapped it).

        Raises:
            ValueError: it is a reward model.
        """
        return LanguageHead(self.causal_lm.get_output_embeddings(), self.text_config)

    @property
    def has_adapter(self) -> bool:
        """Whether the base can be had back by switching an adapter off."""
        return hasattr(self.model, "disable_adapter")

    def hidden_states(self, token_ids: Tensor, attention_mask: Any, position_ids: Tensor) -> Tensor:
        """Hidden states after the final norm, [rows, tokens, hidden size]."""
        inputs = {
            "input_ids": token_ids,
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            "use_cache": False,
        }
        if self.sharding is not None:
            return self.sharding.decode(**inputs)
        return self.decoder(**inputs).last_hidden_state

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Mixed precision where weights are held in more than the compute dtype, else nothing.

        LoRA sees to its own fp32 weights (`lora.py`), and a score head is always applied in fp32
        (`scores.py`); other modules trained whole do not. The answer is the same inside `as_reference`, or
        policy and reference would round differently.
        """
        if any(
            weight.dtype != self.compute_dtype
            and ".lora_" not in name
            and not name.startswith("score.")
            and (weight.requires_grad or ".modules_to_save." in name)
            for name, weight in self.base_model.named_parameters()
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
        stops = getattr(self.base_model.generation_config, "eos_token_id", None)
        if stops is None:
            return []
        return [int(stop) for stop in stops] if isinstance(stops, list) else [int(stops)]

    def trainable_parameters(self) -> list[nn.Parameter]:
        """What the optimizer moves: of a divided model this process's part."""
        if self.sharding is not None:
            self.sharding.let_go()
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    @property
    def trains_in_parts(self) -> bool:
        """Whether what is trained is divided among processes, each of which holds a part of every weight."""
        return self.sharding is not None and not self.has_adapter

    def gathered_weights(self, *, keep: bool) -> dict[str, Tensor] | None:
        """The state of a model that is trained in parts, put together on the CPU; None for any other.

        All processes have to call this. Those that do not `keep` it get an empty one.
        """
        if self.sharding is None or self.has_adapter:
            return None
        self.sharding.let_go()
        parameters = dict(self.base_model.named_parameters(remove_duplicate=False))
        gathered: dict[str, Tensor] = {}
        by_source: dict[int, Tensor] = {}  # tied weights stay one tensor
        for name, value in self.base_model.state_dict().items():
            source = parameters.get(name, value)
            if id(source) not in by_source:
                full = whole(source)
                by_source[id(source)] = full.cpu() if keep else full.new_empty(0)
            if keep:
                gathered[name] = by_source[id(source)]
        return gathered

    def save_weights(self, folder: Path, weights: Mapping[str, Tensor] | None = None) -> None:
        """What was trained, as others load it: an adapter's folder, or a whole model with its tokenizer.

        The folder is made where it is not there. `weights` are what `gathered_weights` gave.

        A whole reward model is loaded by `AutoModelForSequenceClassification.from_pretrained(folder)`. An
        adapter's folder names its base and not how many labels it has, so it takes `num_labels=1` too.

        Raises:
            OSError, SafetensorError: it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if self.has_adapter:
            self._save_adapter(folder)
            return
        self.base_model.save_pretrained(folder, state_dict=weights)
        self.tokenizer.save_pretrained(folder)
        if self.is_reward_model:
            # What ends an answer; transformers writes it only beside models that generate.
            self.base_model.generation_config.save_pretrained(folder)

    def _save_adapter(self, folder: Path) -> None:
        from peft import get_peft_model_state_dict
        from safetensors.torch import save_file

        # save_embedding_layers looks the base up on the Hub when it is to decide for itself.
        state = get_peft_model_state_dict(self.model, save_embedding_layers=False)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        save_file(tensors, folder / "adapter_model.safetensors")
        config: Any = self.model.peft_config["default"]  # type: ignore[index]
        config.inference_mode = True  # what peft expects of an adapter that is loaded to be used
        config.base_model_name_or_path = self.source
        config.revision = self.revision
        config.save_pretrained(folder)
        config.inference_mode = False


def _pad_token_id(tokenizer: Any) -> int:
    for candidate in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if candidate is not None:
            return int(candidate)
    return 0
