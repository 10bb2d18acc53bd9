"""The processes that train together: each computes its share of every batch, and all take the same step.

A batch's examples are divided among the processes, never multiplied by their number: two processes do what
one would do, in half the time. Gradients are summed once a step, over all rows of all processes, so it does
not matter how many rows each of them needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["Processes", "join_processes"]

T = TypeVar("T")

_BUCKET_ELEMENTS = 2**24  # 64 MiB of fp32: large enough to fill a wire, small beside the gradients themselves


class Processes:
    """One process alone: every sum is what it is given, and there is no one to wait for."""

    rank = 0
    size = 1
    local_rank = 0
    local_size = 1

    @property
    def is_main(self) -> bool:
        """Whether this one writes the files and speaks to the person."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over all processes, in fp64."""
        return list(values)

    def gather(self, value: T) -> list[T]:
        """Every process's value, in the order of ranks."""
        return [value]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every parameter's gradient becomes the sum over all processes."""

    def wait(self) -> None:
        """Until all are here."""

    def leave(self) -> None:
        """Part from the others."""


class _Several(Processes):
    """Processes that accelerate, torchrun or `palate run --num-processes` started."""

    def __init__(self, state: Any) -> None:
        self._state = state
        self.rank = state.process_index
        self.size = state.num_processes
        self.local_rank = state.local_process_index
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        self.device: torch.device = state.device

    def sum(self, values: Sequence[float]) -> list[float]:
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(total)
        return total.tolist()

    def gather(self, value: T) -> list[T]:
        parts: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(parts, value)
        return parts

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        bucket: list[Tensor] = []
        for parameter in parameters:
            if parameter.grad is None:  # this process had nothing to do with it, another may have had
                parameter.grad = torch.zeros_like(parameter)
            bucket.append(parameter.grad)
            if sum(grad.numel() for grad in bucket) >= _BUCKET_ELEMENTS:
                _sum_together(bucket)
                bucket = []
        _sum_together(bucket)

    def wait(self) -> None:
        self._state.wait_for_everyone()

    def leave(self) -> None:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _sum_together(grads: Sequence[Tensor]) -> None:
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for grad in grads:
        by_dtype.setdefault(grad.dtype, []).append(grad)
    for same in by_dtype.values():
        flat = torch.cat([grad.reshape(-1) for grad in same])
        torch.distributed.all_reduce(flat)
        for grad, part in zip(same, flat.split([grad.numel() for grad in same]), strict=True):
            grad.copy_(part.view_as(grad))


def join_processes(device: str = "auto") -> Processes:
    """Join the processes the launcher started, by the environment it left; or be alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return Processes()
    from accelerate import PartialState

    on_cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
    # A rank may train for long before the others come: the first one downloads and fills caches.
    return _Several(PartialState(cpu=on_cpu, timeout=timedelta(hours=6)))
