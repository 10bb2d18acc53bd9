"""The processes that train together: each computes its share of every batch, and all take the same step.

A batch's examples are divided among the processes, never multiplied by their number: two processes do what
one would do, in half the time. Gradients are summed once a step, over all rows of all processes, so it does
not matter how many rows each of them needed.

Where the model itself is divided (`engine/sharding.py`), a forward pass needs all processes. One that has no
more rows serves the passes of the others until all have come to the same place; every method here that
exchanges anything is such a place.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from palate.errors import CallError, RecipeError, WorkError

__all__ = ["ProcessLost", "Processes", "is_first_to_say", "join_processes"]

T = TypeVar("T")

_BUCKET_ELEMENTS = 2**24  # 64 MiB of fp32: large enough to fill a wire, small beside the gradients themselves


class ProcessLost(WorkError):
    """Another of the processes has gone, and without it there is no next step."""


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

    def share(self, value: T) -> T:
        """The main process's value. It is pickled on its way: not for what is large."""
        return value

    def share_tensors(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The main process's tensors, on the CPU; what the others give is not looked at."""
        return dict(tensors)

    def copy_from_main(self, tensors: Iterable[Tensor]) -> None:
        """Each tensor takes the main process's values, in place."""

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every parameter's gradient becomes the sum over all processes. Those of a divided model have been
        summed in the backward pass, and are left alone."""

    def wait(self) -> None:
        """Until all are here."""

    def announce_forward(self, with_gradient: bool) -> None:
        """Tell processes that have no more rows that they are needed for a pass of a divided model."""

    def serve_with(self, idle: Callable[[bool], None]) -> None:
        """From here on `idle(with_gradient)` is what a process does while others still have rows: one pass of
        a divided model that counts for nothing."""

    @contextmanager
    def noticing_loss(self) -> Iterator[None]:
        """Raises ProcessLost where the work fails because another process has gone."""
        yield

    def leave(self) -> None:
        """Part from the others."""


class _Several(Processes):
    """Processes that accelerate, torchrun or `palate run --num-processes` started."""

    def __init__(self, state: Any) -> None:
        self.rank = state.process_index
        self.size = state.num_processes
        self.local_rank = state.local_process_index
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        self.device: torch.device = state.device
        self._idle: Callable[[bool], None] | None = None

    def sum(self, values: Sequence[float]) -> list[float]:
        self._arrive()
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(total)
        return total.tolist()

    def gather(self, value: T) -> list[T]:
        self._arrive()
        parts: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(parts, value)
        return parts

    def share(self, value: T) -> T:
        self._arrive()
        found = [value]
        torch.distributed.broadcast_object_list(found, src=0)
        return found[0]

    def share_tensors(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        shapes = self.share([(name, t.shape, t.dtype) for name, t in tensors.items()])
        shared = {}
        for name, shape, dtype in shapes:
            mine = tensors[name] if self.is_main else torch.empty(shape, dtype=dtype)
            there = mine.to(self.device).contiguous()
            torch.distributed.broadcast(there, src=0)
            shared[name] = mine if self.is_main else there.cpu()
        return shared

    def copy_from_main(self, tensors: Iterable[Tensor]) -> None:
        self._arrive()
        for tensor in tensors:
            torch.distributed.broadcast(tensor.detach(), src=0)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        self._arrive()
        bucket: list[Tensor] = []
        for parameter in parameters:
            if isinstance(parameter, torch.distributed.tensor.DTensor):
                continue
            if parameter.grad is None:  # this process had nothing to do with it, another may have had
                parameter.grad = torch.zeros_like(parameter)
            bucket.append(parameter.grad)
            if sum(grad.numel() for grad in bucket) >= _BUCKET_ELEMENTS:
                _sum_together(bucket)
                bucket = []
        _sum_together(bucket)

    def wait(self) -> None:
        self.sum([0.0])

    def announce_forward(self, with_gradient: bool) -> None:
        torch.distributed.all_reduce(torch.tensor([1.0, float(with_gradient)], device=self.device))

    def serve_with(self, idle: Callable[[bool], None]) -> None:
        self._idle = idle

    def _arrive(self) -> None:
        """Serve the others' passes until none of them has any."""
        while self._idle is not None:
            passes = torch.zeros(2, device=self.device)
            torch.distributed.all_reduce(passes)
            working, with_gradient = passes.tolist()
            if not working:
                return
            self._idle(with_gradient > 0)

    @contextmanager
    def noticing_loss(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if not _is_loss_of_another(error):
                raise
            raise ProcessLost(
                "another process of this run has gone, and this one cannot go on without it",
                where=f"process {self.rank} of {self.size}",
                why="it failed, was killed, or its machine cannot be reached",
                next="the same command again goes on from the newest checkpoint",
            ) from None

    def leave(self) -> None:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _is_loss_of_another(error: RuntimeError) -> bool:
    if isinstance(error, torch.distributed.DistError):
        return True
    text = str(error)  # gloo's own have no type of theirs
    return "gloo" in text and any(
        sign in text
        for sign in ("closed by peer", "reset by peer", "Timed out", "timed out", "Broken pipe", "refused")
    )


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
    """Join the processes the launcher started, by the environment it left; or be alone.

    Raises:
        RecipeError: the recipe names one device by its number, which not all can have.
        CallError: the others cannot be reached.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return Processes()
    from accelerate import PartialState

    if ":" in device:
        raise RecipeError(
            "several processes cannot share one device",
            where=f"model.device = {device}",
            next=f"model.device={device.partition(':')[0]}: each process takes the one of its own number",
        )
    on_cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
    try:
        # A rank may train for long before the others come: the first one downloads and fills caches.
        return _Several(PartialState(cpu=on_cpu, timeout=timedelta(hours=6)))
    except (torch.distributed.DistError, ValueError) as error:
        raise CallError(
            "the other processes of this run cannot be reached",
            where=f"{os.environ.get('MASTER_ADDR', '')}:{os.environ.get('MASTER_PORT', '')}",
            why=str(error).partition("\n")[0],
            next="start it with palate ... --num-processes, torchrun or accelerate launch",
        ) from None


# Long enough for the main process to say the same, or for the one that failed to say why.
_PATIENCE_SECONDS = {"error of its own": 0.5, "error of another": 2.0}


def is_first_to_say(error: BaseException) -> bool:
    """Whether this process is the one to tell the person of this error: all of them have it, and one speaks.

    The main one speaks at once. Another waits a little and then speaks where no one has, and a process that
    only misses another leaves the word to that one.
    """
    rank = int(os.environ.get("RANK", "0"))
    if not _are_joined():
        # Every machine has its own terminal, and may lack a file that the others have.
        return os.environ.get("LOCAL_RANK", "0") == "0"
    if isinstance(error, ProcessLost):
        time.sleep(_PATIENCE_SECONDS["error of another"])
    elif rank != 0:
        time.sleep(_PATIENCE_SECONDS["error of its own"])
    with suppress(RuntimeError):
        return bool(torch.distributed.distributed_c10d._get_default_store().add("palate/said", 1) == 1)
    return False  # the main process, which keeps the store, has ended: it said what there was to say


def _are_joined() -> bool:
    return "torch.distributed" in sys.modules and torch.distributed.is_initialized()
