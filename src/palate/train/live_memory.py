"""How much memory tensors hold at once while some work is done: now, and at the most."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

__all__ = ["LARGE_BYTES", "LiveMemory"]

LARGE_BYTES = 32 * 2**20
"""What glibc's malloc asks the system for by itself and gives back at once, whatever it learns on the way
(DEFAULT_MMAP_THRESHOLD_MAX)."""


class LiveMemory(TorchDispatchMode):
    """Counts every storage that comes into being under it until it is let go of.

    Works on fake tensors as on real ones: what is counted is what a caching allocator would be asked for.
    Views share their storage and count once; what an operation takes and gives back inside is not seen.

    now_bytes, peak_bytes: what is held now, and the most that was held since `restart_peak`.
    large_at_peak_bytes: how much of that was in storages of `LARGE_BYTES` and more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_bytes = 0
        self.peak_bytes = 0
        self.large_at_peak_bytes = 0
        self._large_bytes = 0
        self._alive: dict[int, weakref.finalize] = {}

    def restart_peak(self) -> None:
        """Count the peak from here on."""
        self.peak_bytes, self.large_at_peak_bytes = self.now_bytes, self._large_bytes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {_place(tensor) for tensor in tree_iter((args, kwargs)) if isinstance(tensor, Tensor)}
        for tensor in tree_iter(result):
            # What was given was there before: an alias of a weight is no new memory.
            if isinstance(tensor, Tensor) and _place(tensor) not in given:
                self._count(tensor)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place = storage._cdata
        if place in self._alive:
            return
        size = storage.nbytes()
        self._alive[place] = weakref.finalize(storage, self._forget(place, size))
        self._add(size)
        if self.now_bytes > self.peak_bytes:
            self.restart_peak()

    def _forget(self, place: int, size: int) -> Callable[[], None]:
        def forget() -> None:
            self._alive.pop(place, None)
            self._add(-size)

        return forget

    def _add(self, size: int) -> None:
        self.now_bytes += size
        if abs(size) >= LARGE_BYTES:
            self._large_bytes += size


def _place(tensor: Tensor) -> int:
    if isinstance(tensor, torch._subclasses.FakeTensor) or tensor.layout == torch.strided:
        return tensor.untyped_storage()._cdata
    return id(tensor)
