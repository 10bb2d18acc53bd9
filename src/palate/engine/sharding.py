"""A model divided among processes, each of which holds a part: FSDP2 (Zhao et al. 2023, arXiv:2304.11277).

torch's `fully_shard` gathers each layer's weights just before they are used and lets them go just after; here
it is called without accelerate's wrapping of it, for three reasons. The engine calls the decoder and the head
rather than the model, so the root's gathering has to begin with the one and last until the other is through.
Gradients are summed and not averaged, for the loss is divided by the whole batch's size already. And an
adapter, which is small, stays whole in every process: then its optimizer state, its checkpoints and a
reference that follows it are what they are without sharding, and only the frozen base is divided.

Every pass through the model needs all processes. They are told of one before it begins (`announce`), so that
those that have no more rows can serve it with `idle`.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from palate.engine.tree import Branch
from palate.errors import ModelError

if TYPE_CHECKING:
    from palate.engine.policy import Policy

__all__ = ["Sharding", "divided_from_main", "divided_like", "shard", "whole", "whole_kind"]


class Sharding:
    """How a policy's model is divided, and what has to be done around each pass because it is."""

    def __init__(self, base_model: Any, announce: Callable[[bool], None]) -> None:
        self._model = base_model
        self._announce = announce
        self._is_idle = False
        _register_decoding(base_model)
        base_model.register_forward_pre_hook(lambda module, args: self._before_pass(), prepend=True)

    def decode(self, **inputs: Any) -> Tensor:
        """The decoder's last hidden states. The head's weights are there from now on until the backward pass,
        or until `let_go`."""
        self._before_pass()
        return self._model.palate_decode(**inputs)

    def let_go(self) -> None:
        """Of the weights gathered for the last pass, so that the parameters are those that are divided."""
        self._model.reshard()

    def idle(self, policy: Policy, with_gradient: bool) -> None:
        """One pass like everyone's, on a completion of one token; its gradient is zero."""
        from palate.engine.logps import branch_logps
        from palate.engine.scores import branch_scores

        token = policy.pad_token_id + 1 if policy.pad_token_id == 0 else 0
        branch = Branch(np.full(2, token, np.int64), np.array([False, True]))
        was_training = policy.model.training
        policy.model.eval()  # dropout would draw random numbers
        self._is_idle = True
        try:
            with torch.set_grad_enabled(with_gradient):
                if policy.is_reward_model:
                    result = branch_scores(policy, [branch]).scores_B
                else:
                    result = branch_logps(policy, [branch], "padded").per_token_logps_S
                if with_gradient:
                    (result.sum() * 0.0).backward()
        finally:
            self._is_idle = False
            policy.model.train(was_training)

    def _before_pass(self) -> None:
        if not self._is_idle:
            self._announce(torch.is_grad_enabled())
        # What was gathered for an earlier pass may be older than the weights.
        self.let_go()


def shard(policy: Policy, announce: Callable[[bool], None]) -> None:
    """Divide the policy's model among all processes of the default group: each layer, and the rest.

    Under an adapter the base is divided, and what is trained stays whole in every process. Without one all
    weights are, and with them gradients and optimizer state.

    Raises:
        ModelError: the model has no layers to divide by, or cannot be divided on this device.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    _refuse_what_cannot_be_divided(policy)
    model = policy.base_model
    mesh = init_device_mesh(policy.device.type, (torch.distributed.get_world_size(),))
    stay_whole = set(policy.trainable_parameters()) if policy.has_adapter else set()
    for layer in _layers(policy):
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=stay_whole)
    # The rest stays gathered between decoder and head.
    fully_shard(model, mesh=mesh, reshard_after_forward=False, ignored_params=stay_whole)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo has no other
    policy.sharding = Sharding(model, announce)


def whole(tensor: Tensor) -> Tensor:
    """A divided tensor put together, for which all processes have to call this; any other as it is."""
    if isinstance(tensor, torch.distributed.tensor.DTensor):
        tensor = tensor.full_tensor()
    return tensor.detach()


def divided_like(like: Tensor, full: Tensor) -> Tensor:
    """`full`, which every process has, divided as `like` is."""
    if not isinstance(like, torch.distributed.tensor.DTensor):
        return full
    return torch.distributed.tensor.distribute_tensor(
        full.to(like.device, like.dtype), like.device_mesh, like.placements, src_data_rank=None
    )


def divided_from_main(like: Tensor, full: Tensor | None) -> Tensor:
    """The process of rank 0's `full`, divided as `like` is; the others need not have it."""
    if full is None:
        full = torch.empty(like.shape, dtype=like.dtype)
    assert isinstance(like, torch.distributed.tensor.DTensor)
    return torch.distributed.tensor.distribute_tensor(
        full.to(like.device, like.dtype), like.device_mesh, like.placements, src_data_rank=0
    )


def whole_kind(model: nn.Module) -> type:
    """The model's class as it was before it was divided."""
    from torch.distributed.fsdp import FSDPModule

    kind = type(model)
    return kind.__mro__[2] if isinstance(model, FSDPModule) else kind


def _layers(policy: Policy) -> list[nn.Module]:
    """The decoder's layers, as the model itself names what must not be split; inner ones first."""
    names = set(getattr(policy.base_model, "_no_split_modules", None) or ())
    found = [module for module in policy.decoder.modules() if type(module).__name__ in names]
    if not found:
        raise ModelError(
            "this model does not say what its layers are",
            where=f"model.base = {policy.name}",
            next="parallel=ddp keeps it whole in every process",
        )
    return found[::-1]


def _refuse_what_cannot_be_divided(policy: Policy) -> None:
    why = None
    if policy.quantization != "none":
        why = "its weights are quantised, in a layout of their own"
    elif policy.device.type not in ("cpu", "cuda"):
        why = f"torch divides models on cuda and cpu, and this is {policy.device.type}"
    if why is not None:
        raise ModelError(
            "this model cannot be divided among processes",
            where="parallel = fsdp2",
            why=why,
            next="parallel=ddp keeps it whole in every process",
        )


def _register_decoding(model: Any) -> None:
    """Make the decoder's pass one that the root gathers its weights for."""
    from torch.distributed.fsdp import register_fsdp_forward_method

    def palate_decode(self: Any, **inputs: Any) -> Tensor:
        return self.get_decoder()(**inputs).last_hidden_state

    model.palate_decode = types.MethodType(palate_decode, model)
    register_fsdp_forward_method(model, "palate_decode")
