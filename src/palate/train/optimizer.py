"""AdamW in several states of compression, its state as named tensors, and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from palate.engine import Policy
from palate.engine.quantization import bitsandbytes
from palate.engine.sharding import divided_like, whole
from palate.errors import ArtifactError, RecipeError
from palate.recipe import TrainOptions

__all__ = ["build_optimizer", "learning_rate_at", "load_optimizer_tensors", "misfit", "optimizer_tensors"]

# Of parameters that have had no gradient yet, and so have no state.
_STATELESS = "stateless"


def build_optimizer(policy: Policy, options: TrainOptions) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) over what the policy trains, state in fp32.

    Decay falls on matrices only: norms and biases are not pulled towards zero. With `adamw_8bit` the moments
    of matrices of 4096 numbers or more are held in eight bits, block by block (Dettmers et al. 2021,
    arXiv:2110.02861); `paged_` ones lie in memory that cuda moves to the host when the device is full.

    Raises:
        RecipeError: a paged optimizer on a device that has no pages.
    """
    parameters = policy.trainable_parameters()
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    betas = (options.adam_beta1, options.adam_beta2)
    if options.optimizer == "adamw":
        # Fused: one pass over hundreds of small matrices.
        fused = policy.device.type in ("cpu", "cuda")
        return torch.optim.AdamW(groups, lr=options.learning_rate, betas=betas, fused=fused)
    if options.optimizer.startswith("paged") and policy.device.type != "cuda":
        raise RecipeError(
            f'"{options.optimizer}" needs a cuda device, and this is {policy.device.type}',
            where="train.optimizer",
            why="only cuda can move an optimizer's pages between device and host",
            next=f"train.optimizer={options.optimizer.removeprefix('paged_')}",
        )
    library = bitsandbytes().optim
    kinds = {
        "adamw_8bit": library.AdamW8bit,
        "paged_adamw": library.PagedAdamW,
        "paged_adamw_8bit": library.PagedAdamW8bit,
    }
    made: torch.optim.Optimizer = kinds[options.optimizer](groups, lr=options.learning_rate, betas=betas)
    return made


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The whole state of the optimizer but for its options, as tensors that safetensors can hold.

    They are called `<number of the parameter>.<name in its state>`, in the order of the parameter groups, and
    are copies on the CPU; those of a model in parts are put together, for which all processes have to call
    this. `stateless` lists parameters that have had no gradient yet, where there are some.
    """
    tensors: dict[str, Tensor] = {}
    stateless = []
    for number, (_, _, parameter) in enumerate(_parameters(optimizer)):
        state = optimizer.state.get(parameter)
        if not state:
            stateless.append(number)
        for name, value in (state or {}).items():
            # Copies: tables are shared between parameters, and the next step writes into the rest.
            tensors[f"{number}.{name}"] = whole(torch.as_tensor(value)).cpu().contiguous().clone()
    if stateless:
        tensors[_STATELESS] = torch.tensor(stateless)
    return tensors


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave, into an optimizer built alike: training goes on bit for bit.

    Raises:
        ArtifactError: a tensor is missing, is one too many, or is of another shape or type.
    """
    left = dict(tensors)
    stateless = set(left.pop(_STATELESS, torch.empty(0)).tolist())
    for number, place in enumerate(_parameters(optimizer)):
        optimizer.state.pop(place[2], None)
        if number in stateless:
            continue
        state = _fresh_state(optimizer, *place)
        for name, fresh in state.items():
            full_name = f"{number}.{name}"
            if full_name not in left:
                raise misfit(f"{full_name} is missing")
            state[name] = _restored(full_name, fresh, left.pop(full_name))
    if left:
        raise misfit(f"{next(iter(left))} has no place in it")


def _parameters(optimizer: torch.optim.Optimizer) -> Iterator[tuple[int, int, nn.Parameter]]:
    """Group, place in the group, parameter."""
    for number, group in enumerate(optimizer.param_groups):
        for place, parameter in enumerate(group["params"]):
            yield number, place, parameter


def _fresh_state(optimizer: Any, group_number: int, place: int, parameter: nn.Parameter) -> dict[str, Any]:
    """A parameter's state as the optimizer has it before the first step, which says what belongs there."""
    group = optimizer.param_groups[group_number]
    if not isinstance(optimizer, torch.optim.AdamW):
        optimizer.init_state(group, parameter, group_number, place)
        state: dict[str, Any] = optimizer.state[parameter]
        return state
    device = parameter.device if group["fused"] or group["capturable"] else "cpu"
    optimizer.state[parameter] = {
        "step": torch.zeros((), dtype=torch.float32, device=device),
        "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
        "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
    }
    return optimizer.state[parameter]


def _restored(name: str, fresh: Any, saved: Tensor) -> Any:
    if not isinstance(fresh, Tensor):
        return type(fresh)(saved.item())
    if (fresh.shape, fresh.dtype) != (saved.shape, saved.dtype):
        was, wanted = f"{saved.dtype} {list(saved.shape)}", f"{fresh.dtype} {list(fresh.shape)}"
        raise misfit(f"{name} is {was} and should be {wanted}")
    with torch.no_grad():
        return fresh.copy_(divided_like(fresh, saved))  # in place: it may lie in pages of its own


def misfit(why: str) -> ArtifactError:
    """The error where what was saved of an optimizer is not of this run."""
    return ArtifactError(
        "the optimizer's saved state does not fit this run",
        where="checkpoint",
        why=why,
        next="go on with the recipe it was saved with, or train anew in another output folder",
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
