"""Every random number generator a training draws from, as one thing to keep and put back."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["RandomState", "seed_everything"]


def seed_everything(seed: int) -> None:
    """Python's, numpy's and torch's generators, on every device."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@dataclass(frozen=True, slots=True, eq=False)
class RandomState:
    """Where the generators stand: torch's as tensors, the others as plain data that JSON can hold."""

    tensors: Mapping[str, Tensor]
    plain: Mapping[str, Any]

    @classmethod
    def now(cls, device: torch.device) -> RandomState:
        """As they stand; of the devices, the one in use."""
        tensors = {"torch": torch.get_rng_state()}
        if device.type == "cuda":
            tensors["cuda"] = torch.cuda.get_rng_state(device)
        elif device.type == "mps":
            tensors["mps"] = torch.mps.get_rng_state()
        version, internal, gauss = random.getstate()
        name, keys, *rest = np.random.get_state(legacy=True)
        plain = {
            "python": [version, list(internal), gauss],
            "numpy": [str(name), np.asarray(keys).tolist(), *rest],
        }
        return cls(tensors, plain)

    def restore(self, device: torch.device) -> None:
        """Put them back."""
        torch.set_rng_state(self.tensors["torch"])
        if device.type == "cuda" and "cuda" in self.tensors:
            torch.cuda.set_rng_state(self.tensors["cuda"], device)
        elif device.type == "mps" and "mps" in self.tensors:
            torch.mps.set_rng_state(self.tensors["mps"])
        version, internal, gauss = self.plain["python"]
        random.setstate((version, tuple(internal), gauss))
        name, keys, position, has_gauss, cached = self.plain["numpy"]
        np.random.set_state((name, np.array(keys, np.uint32), position, has_gauss, cached))
