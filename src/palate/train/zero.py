"""Optimizer state and gradients divided among the processes by DeepSpeed (Rajbhandari et al. 2020,
arXiv:1910.02054, ZeRO stages 1 and 2); every process keeps all weights.

DeepSpeed reduces in the backward pass, in the order in which gradients come to be, and so needs all processes
in each of them. Rows differ: in number, in layout, and in what they touch. So DeepSpeed is not given the
model but the parameters to be trained, and after each row that row's gradients, always in one order. A
process that has no more rows gives zeros instead (`idle`).

Gradients are summed and not averaged, for the loss is divided by the whole batch's size already.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from palate.engine import Policy
from palate.errors import RecipeError
from palate.recipe import Recipe, TrainOptions
from palate.train.optimizer import misfit

__all__ = ["Zero", "read_deepspeed_config", "refuse_impossible_zero", "start_zero"]

_PASSED_ON = {"zero_optimization", "comms_logger", "memory_breakdown", "wall_clock_breakdown"}
# What the recipe decides, and which of its options does.
_DECIDED = {
    "train_batch_size": "train.batch_size",
    "train_micro_batch_size_per_gpu": "train.micro_batch_tokens",
    "gradient_accumulation_steps": "train.micro_batch_tokens",
    "gradient_clipping": "train.max_grad_norm",
    "optimizer": "train.optimizer",
    "scheduler": "train.schedule",
    "activation_checkpointing": "train.gradient_checkpointing",
    "bf16": "model.dtype",
    "fp16": "model.dtype",
    "amp": "model.dtype",
    "torch_autocast": "model.dtype",
}
_STAGES = (1, 2)
_MOMENTS = ("exp_avg", "exp_avg_sq")
# DeepSpeed's own, in elements: the buffer that is allocated at every reduction.
_LARGEST_BUCKET = 500_000_000


class Zero:
    """DeepSpeed's engine over the parameters that are trained."""

    def __init__(
        self, engine: Any, groups: Sequence[Sequence[nn.Parameter]], announce: Callable[[bool], None]
    ) -> None:
        self._engine = engine
        self._groups = groups
        self._parameters = [parameter for group in groups for parameter in group]
        self._announce = announce

    def backward(self, loss: Tensor) -> None:
        """Add a row's gradients to those of the batch; every other process adds one too, or idles."""
        gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        self._announce(True)
        self._hand_over(gradients)

    def idle(self, with_gradient: bool) -> None:
        """Take part in another process's row, with gradients of zero."""
        self._hand_over([None] * len(self._parameters))

    def finish_gradients(self) -> float:
        """Sum what is not yet summed; returns the norm of the whole batch's gradient, before clipping.

        To be called by all processes together, as `step` and `state_tensors` are.
        """
        self._engine.set_gradient_accumulation_boundary(True)
        self._hand_over([None] * len(self._parameters))
        norm = float(self._engine.optimizer.scaled_global_norm())
        return norm if norm >= 0 else math.inf  # -1 is what DeepSpeed makes of what is not finite

    def step(self) -> None:
        """Clip, move the weights, and let every process have them."""
        self._engine.step()
        self._engine.set_gradient_accumulation_boundary(False)

    def state_tensors(self) -> dict[str, Tensor]:
        """AdamW's whole state as `optimizer_tensors` would give it without ZeRO, on the CPU."""
        tensors: dict[str, Tensor] = {}
        number = 0
        for index, group in enumerate(self._groups):
            part = self._part(index)
            state = self._engine.optimizer.optimizer.state[part]
            moments = {name: _gathered(state[name]) for name in _MOMENTS}
            for parameter, offset in zip(group, self._offsets(index), strict=True):
                tensors[f"{number}.step"] = state["step"].detach().cpu().clone()
                for name, flat in moments.items():
                    piece = flat[offset : offset + parameter.numel()]
                    tensors[f"{number}.{name}"] = piece.view(parameter.shape).clone()
                number += 1
        return tensors

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `state_tensors` or `optimizer_tensors` gave; the weights have been put back before.

        Raises:
            ArtifactError: they are of another optimizer or other parameters.
        """
        wanted = {
            f"{number}.{name}" for number in range(len(self._parameters)) for name in ("step", *_MOMENTS)
        }
        if differing := sorted(wanted ^ set(tensors)):
            raise misfit(f"{differing[0]} is missing, or one too many")
        self._engine.optimizer.refresh_fp32_params()
        number = 0
        for index, group in enumerate(self._groups):
            part = self._part(index)
            state = {"step": tensors[f"{number}.step"].to(part.device, copy=True)}
            for name in _MOMENTS:
                flat = torch.zeros(part.numel() * torch.distributed.get_world_size())
                for place, (parameter, offset) in enumerate(zip(group, self._offsets(index), strict=True)):
                    saved = tensors[f"{number + place}.{name}"]
                    if saved.shape != parameter.shape:
                        raise misfit(f"{number + place}.{name} is {list(saved.shape)}")
                    flat[offset : offset + parameter.numel()] = saved.reshape(-1)
                mine = flat.chunk(torch.distributed.get_world_size())[torch.distributed.get_rank()]
                state[name] = mine.to(part.device, copy=True)
            self._engine.optimizer.optimizer.state[part] = state
            number += len(group)

    def _hand_over(self, gradients: Sequence[Tensor | None]) -> None:
        self._engine.backward(self._engine(gradients), scale_wrt_gas=False)

    def _part(self, group: int) -> Tensor:
        """This process's share of a group's flat fp32 weights."""
        return self._engine.optimizer.single_partition_of_fp32_groups[group]

    def _offsets(self, group: int) -> list[int]:
        """Where each parameter of a group begins in the flat one; DeepSpeed may order them anew."""
        optimizer = self._engine.optimizer
        ordered = optimizer.round_robin_bit16_groups[group]
        found = {
            id(p): offset
            for p, offset in zip(ordered, optimizer.round_robin_bit16_offsets[group], strict=True)
        }
        return [found[id(parameter)] for parameter in self._groups[group]]


class _Given(nn.Module):
    """What DeepSpeed takes for the model: its gradients are those it is called with."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.trained = nn.ParameterList(parameters)

    def forward(self, gradients: Sequence[Tensor | None]) -> Tensor:
        return _Handing.apply(gradients, *self.trained)


class _Handing(torch.autograd.Function):
    """A loss of zero whose gradients are given; None is zero."""

    @staticmethod
    def forward(ctx: Any, gradients: Sequence[Tensor | None], *parameters: Tensor) -> Tensor:
        ctx.given = gradients
        ctx.parameters = parameters
        return parameters[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        whole = [
            given if given is not None else torch.zeros_like(parameter)
            for given, parameter in zip(ctx.given, ctx.parameters, strict=True)
        ]
        return (None, *whole)


def refuse_impossible_zero(recipe: Recipe, num_processes: int) -> None:
    """Find out before a model is loaded whether DeepSpeed could be had.

    Raises:
        RecipeError: it is not installed, there is one process alone, or its config cannot be used.
    """
    read_deepspeed_config(recipe)
    why = None
    if num_processes == 1:
        why = "one process alone has no one to divide the optimizer's state with"
        next = "start several, with --num-processes or torchrun, or set parallel=ddp"
    elif (spec := find_spec("deepspeed")) is None or spec.origin is None:  # a folder of that name is none
        why = "not installed: deepspeed"
        next = "pip install 'palate[deepspeed]', or set parallel=ddp"
    if why is not None:
        raise RecipeError(why, where="parallel = deepspeed", next=next)


def start_zero(
    policy: Policy, optimizer: torch.optim.Optimizer, recipe: Recipe, announce: Callable[[bool], None]
) -> Zero:
    """Hand the optimizer over to DeepSpeed, which divides its state among all processes.

    Raises:
        RecipeError: the model computes in float16, or the config is one that Palate or DeepSpeed refuses.
    """
    if policy.compute_dtype == torch.float16:
        raise RecipeError(
            "float16 needs a loss scale, which Palate does not keep with DeepSpeed",
            where="parallel = deepspeed",
            next="model.dtype=bfloat16, or parallel=ddp",
        )
    if policy.device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    groups = [list(group["params"]) for group in optimizer.param_groups]
    parameters = [parameter for group in groups for parameter in group]
    num_elements = sum(parameter.numel() for parameter in parameters)
    config = _completed(read_deepspeed_config(recipe), recipe.train, num_elements)
    try:
        with redirect_stdout(sys.stderr):  # it says what it builds, where --json has its result
            engine, *_ = deepspeed.initialize(
                model=_Given(parameters), optimizer=optimizer, config=config, dist_init_required=False
            )
    except (ValueError, AssertionError) as error:
        raise RecipeError(
            "DeepSpeed refuses its config",
            where=str(recipe.deepspeed),
            why=str(error).partition("\n")[0],
            next="correct it; the key and its place are named in DeepSpeed's own documentation",
        ) from None
    engine.set_gradient_accumulation_boundary(False)
    return Zero(engine, groups, announce)


def read_deepspeed_config(recipe: Recipe) -> dict[str, Any]:
    """The file that `deepspeed` names, without what only repeats the recipe.

    Raises:
        RecipeError: it cannot be read, contradicts the recipe, or asks for what Palate does not do with it.
    """
    path = Path(str(recipe.deepspeed))
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _refused(path, "cannot be read as JSON", str(error), "name a DeepSpeed config file") from None
    if not isinstance(config, dict):
        raise _refused(
            path, "is no JSON object", f"it is a {type(config).__name__}", "name a DeepSpeed config"
        )
    for key, value in config.items():
        if key in _DECIDED:
            _refuse_contradiction(path, recipe.train, key, value)
        elif key not in _PASSED_ON:
            next = f"drop it; passed on are {', '.join(sorted(_PASSED_ON))}"
            raise _refused(path, f'has "{key}"', "Palate would not use it", next)
    zero = config.get("zero_optimization")
    _refuse_other_zero(path, zero if isinstance(zero, dict) else {})
    return {key: value for key, value in config.items() if key in _PASSED_ON}


def _refuse_contradiction(path: Path, options: TrainOptions, key: str, value: Any) -> None:
    same = {"train_batch_size": options.batch_size, "gradient_clipping": options.max_grad_norm}
    if value == "auto" or (key in same and value == (same[key] or 0.0)):
        return
    if isinstance(value, dict) and value.get("enabled") is False:
        return
    said = f" = {same[key]}" if key in same else ""
    raise _refused(
        path,
        f'decides "{key}" too, as {json.dumps(value)}',
        f"the recipe's {_DECIDED[key]}{said} does",
        f"drop {key} from it, and set {_DECIDED[key]}",
    )


def _refuse_other_zero(path: Path, zero: Mapping[str, Any]) -> None:
    stage = zero.get("stage")
    if stage == 3:
        raise _refused(
            path,
            "asks for ZeRO stage 3",
            "it divides weights, and the engine calls the decoder past the model it is wrapped around",
            "parallel=fsdp2 divides weights too; or take stage 1 or 2",
        )
    if stage not in _STAGES:
        raise _refused(
            path,
            f"has no ZeRO stage that divides anything: {json.dumps(stage)}",
            "without it DeepSpeed does what parallel=ddp does",
            'write {"zero_optimization": {"stage": 1}}, or 2',
        )
    for key in zero:
        if (
            "offload" in key
            or key in ("zenflow", "compute_grad_norm")
            or key.startswith(("stage3_", "zero_"))
        ):
            raise _refused(
                path,
                f'has "zero_optimization.{key}"',
                "Palate keeps state on the device, and divides no weights with DeepSpeed",
                "drop it",
            )


def _completed(config: dict[str, Any], options: TrainOptions, num_elements: int) -> dict[str, Any]:
    """With what the recipe decides, in DeepSpeed's words."""
    bucket = min(_LARGEST_BUCKET, num_elements)
    return config | {
        "zero_optimization": {"reduce_bucket_size": bucket} | config["zero_optimization"],
        "train_micro_batch_size_per_gpu": 1,  # it has no examples to count
        "gradient_accumulation_steps": 1,
        "gradient_clipping": options.max_grad_norm or 0.0,
        "gradient_allreduce_op": "sum",
    }


def _gathered(part: Tensor) -> Tensor:
    parts = [torch.empty_like(part) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, part.contiguous())
    return torch.cat([piece.cpu() for piece in parts])


def _refused(path: Path, what: str, why: str, next: str) -> RecipeError:
    return RecipeError(f"the DeepSpeed config {what}", where=f"deepspeed = {path}", why=why, next=next)
