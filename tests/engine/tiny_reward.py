"""Random reward models of real architectures, as policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tiny_models import tiny_config
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from palate.engine import Branch, Policy


def tiny_reward_model(
    name: str, attention: str = "sdpa", dtype: torch.dtype = torch.float32, seed: int = 0, **changes: Any
) -> Any:
    """Like `tiny_model`, with a score head; that head in fp32, as `load_policy` has it."""
    torch.manual_seed(seed)
    config = tiny_config(name, num_labels=1, **changes)
    model = AutoModelForSequenceClassification.from_config(
        config, attn_implementation=attention, dtype=torch.float32
    )
    for _, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.data.add_(torch.randn_like(parameter) * 0.1)
    model.to(dtype)
    model.score.float()
    return model


def own_scores(policy: Policy, branches: Sequence[Branch]) -> Tensor:
    """Scores, differentiable, by nothing but the model: one branch at a time. For one dtype throughout."""
    parts = []
    for branch in branches:
        ids = torch.from_numpy(branch.token_ids)[None]
        parts.append(policy.base_model(input_ids=ids, use_cache=False).logits[0, 0])
    return torch.stack(parts)
