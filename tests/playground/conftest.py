"""The playground's model is trained once per machine: every test here shares it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from palate.playground import model_folder
from palate.playground.training import Settings
from palate.records import Messages

NO_TRAINING = Settings(vocab_size=320, hidden_size=16, num_layers=1, num_heads=2, num_key_value_heads=1,
                       intermediate_size=16, num_steps=3, batch_size=2, num_tokenizer_chats=20)  # fmt: skip


@dataclass(frozen=True)
class Model:
    """The trained model and its tokenizer, and a plain way to make it talk."""

    folder: Path
    weights: Any
    tokenizer: Any

    def answers(self, prompts: list[Messages], *, seed: int | None) -> list[tuple[str, bool]]:
        """An answer to each prompt, and whether it ended by itself: greedy without a seed, else sampled."""
        import torch

        chats = [[message.as_dict() for message in prompt] for prompt in prompts]
        texts = [
            self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
            for chat in chats
        ]
        batch = self.tokenizer(texts, return_tensors="pt", padding=True)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed or 0)
            rows = self.weights.generate(**batch, do_sample=seed is not None, max_new_tokens=64)
        said = rows[:, batch["input_ids"].shape[1] :]
        ended = (said == self.tokenizer.eos_token_id).any(dim=1).tolist()
        return list(zip(self.tokenizer.batch_decode(said, skip_special_tokens=True), ended, strict=True))


@pytest.fixture(scope="session")
def model() -> Model:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = model_folder()
    weights = AutoModelForCausalLM.from_pretrained(folder).eval()
    return Model(folder, weights, AutoTokenizer.from_pretrained(folder))


@pytest.fixture(scope="session")
def no_training() -> Settings:
    """A model so small and so little trained that making it takes a moment."""
    return NO_TRAINING
