"""What autograd keeps for the backward pass, counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def bytes_saved(compute: Callable[[], Tensor], model: nn.Module) -> int:
    """Bytes of all distinct memory kept for the backward pass of `compute`, the model's own weights apart."""
    own = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor  # alive, so that no address stands for two

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = compute()
    total = sum(kept.values())
    del result
    return total
