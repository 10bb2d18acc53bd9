"""AdamW and learning-rate schedules."""

from __future__ import annotations

import math

import torch

from palate.engine import Policy
from palate.recipe import TrainOptions

__all__ = ["build_optimizer", "learning_rate_at"]


def build_optimizer(policy: Policy, options: TrainOptions) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) over what the policy trains, state in fp32.

    Decay falls on matrices only: norms and biases are not pulled towards zero.
    """
    parameters = policy.trainable_parameters()
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=options.learning_rate,
        betas=(options.adam_beta1, options.adam_beta2),
        fused=policy.device.type in ("cpu", "cuda"),  # one pass over hundreds of small matrices
    )


def learning_rate_at(step: int, num_steps: int, options: TrainOptions) -> float:
    """The learning rate of optimizer step `step`, counted from 0.

    Rises along a line over the warm-up, then falls to zero at `num_steps`. The first step already moves.
    """
    num_warmup = math.ceil(options.warmup_fraction * num_steps)
    if step < num_warmup:
        return options.learning_rate * (step + 1) / (num_warmup + 1)
    progress = (step - num_warmup) / max(1, num_steps - num_warmup)
    factor = {
        "constant": 1.0,
        "linear": 1.0 - progress,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * progress)),
    }[options.schedule]
    return options.learning_rate * factor
