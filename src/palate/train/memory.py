"""How long a row may be, on this device and for this model; and how much memory was used."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import torch

from palate.engine import Policy
from palate.recipe import TrainOptions
from palate.train.batches import RowCost

__all__ = ["available_memory_bytes", "is_out_of_memory", "peak_memory_bytes", "process_bytes", "row_cost"]

_CGROUP = Path("/sys/fs/cgroup")

# Dense attention on a CPU does about a third of the work per second that matrix products do there.
_DENSE_ATTENTION_SLOWDOWN = 3.0
# Rows cost their weights' trip through memory whatever they hold: about as much as this many tokens.
_ROW_OVERHEAD_TOKENS = 100.0
# Activations kept for the backward pass, per token, layer and hidden unit, in elements (Korthikanti et al.
# 2022, arXiv:2205.05198, table 2, without the attention scores that no kernel here keeps).
_ACTIVATIONS_PER_UNIT = 17.0


def row_cost(policy: Policy, options: TrainOptions, free: int | None = None) -> RowCost:
    """The planner's view of this model on this device, of which `free` bytes can still be had; as many as
    there are where it is not said.

    Dense masks skip nothing, so attention's square comes in early and rows stay short; block masks skip what
    is not visible, and rows grow to what memory takes.
    """
    config = policy.text_config
    # Two weights of four bits lie in one byte, and are counted as one number.
    weights = sum(p.numel() * (2 if p.dtype == torch.uint8 else 1) for p in policy.decoder.parameters())
    embeddings = sum(parameter.numel() for parameter in policy.base_model.get_input_embeddings().parameters())
    attention_per_pair = 2 * config.hidden_size * config.num_hidden_layers
    square = (weights - embeddings) / attention_per_pair / _DENSE_ATTENTION_SLOWDOWN
    if policy.attention == "flex_attention":
        square = float("inf")
    if options.micro_batch_tokens != "auto":
        max_tokens = options.micro_batch_tokens
    elif policy.device.type == "cuda":
        if free is None:
            free, _ = torch.cuda.mem_get_info(policy.device)
        bytes_per_token = _ACTIVATIONS_PER_UNIT * config.num_hidden_layers * config.hidden_size * 2
        max_tokens = int(min(16384, max(512, free / 2 / bytes_per_token)))
    else:
        max_tokens = 1024
    return RowCost(overhead=_ROW_OVERHEAD_TOKENS, square=square, max_tokens=max_tokens)


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory used so far: on the device where it has its own, else by the process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    status = Path("/proc/self/status")
    if status.is_file():
        # Not `ru_maxrss`, which on Linux begins with what the process that started this one had taken.
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)
        if found is not None:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def process_bytes() -> int:
    """What this process holds in memory now: its resident set."""
    return int(psutil.Process().memory_info().rss)


def available_memory_bytes(device: torch.device) -> int:
    """How much memory a new process could have: free on the device where it has its own, else what the system
    can give without swapping, and no more than a container's limit leaves."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available = int(psutil.virtual_memory().available)
    for limit, used in (
        ("memory.max", "memory.current"),  # cgroup 2, then 1
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        left = _read_number(_CGROUP / limit), _read_number(_CGROUP / used)
        if left[0] is not None and left[1] is not None:
            available = min(available, max(0, left[0] - left[1]))
    return available


def _read_number(file: Path) -> int | None:
    """What a file of one number says; None where it is not there, or says that there is no limit."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this says that memory ran out, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
