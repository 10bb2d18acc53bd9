"""Trainings in several processes, each a fork of the test's: no imports to wait for, and real collectives."""

from __future__ import annotations

import math
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from palate.errors import PalateError
from palate.pipeline import train_stage
from palate.recipe import Recipe
from palate.train import RunFolder
from tiny_run import metrics

# What depends on how rows are cut, and on the machine.
OF_THE_MACHINE = {
    "pairs_per_second", "peak_memory_bytes", "tokens_computed", "tokens_represented", "sharing_factor"
}  # fmt: skip
FAILED = 3


def in_processes(size: int, work: Callable[[int], Any], *, patience_seconds: float = 60.0) -> list[int]:
    """`work(rank)` in so many processes that find each other as torchrun's do; their exit codes.

    A PalateError ends a process with its exit code and leaves its text in `PALATE_HOME/said.<rank>`.
    """
    port = _free_port()
    children = [_fork(size, rank, port, work) for rank in range(size)]
    deadline = time.monotonic() + patience_seconds
    codes: dict[int, int] = {}
    while len(codes) < size:
        for rank, child in enumerate(children):
            if rank not in codes:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    codes[rank] = os.waitstatus_to_exitcode(status)
                elif time.monotonic() > deadline:
                    os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return [codes[rank] for rank in range(size)]


def said(rank: int) -> str:
    """The error a process ended with."""
    return (Path(os.environ["PALATE_HOME"]) / f"said.{rank}").read_text()


def _fork(size: int, rank: int, port: int, work: Callable[[int], Any]) -> int:
    child = os.fork()
    if child:
        return child
    code = FAILED
    try:
        torch.set_num_threads(1)
        _forget_processes()
        if size > 1:
            os.environ |= {
                "RANK": str(rank), "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size),
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo",
            }  # fmt: skip
        work(rank)
        code = 0
    except PalateError as error:
        (Path(os.environ["PALATE_HOME"]) / f"said.{rank}").write_text(str(error))
        code = error.exit_code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _forget_processes() -> None:
    """Another test of this process may have used accelerate, alone."""
    from accelerate.state import PartialState

    PartialState._reset_state()


def train_in(size: int, recipe: Recipe, *, home: Path | None = None) -> Path:
    """Train in so many processes; the run folder. A `home` of its own shares no reference cache."""

    def work(rank: int) -> None:
        if home is not None:
            os.environ["PALATE_HOME"] = str(home)
        train_stage(recipe)

    codes = in_processes(size, work)
    assert codes == [0] * size
    return Path(recipe.output)


def weights(folder: Path) -> dict[str, Tensor]:
    """What the run trained."""
    return {
        name: tensor
        for file in sorted(RunFolder(folder).trained.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def largest_difference(ours: Path, theirs: Path) -> tuple[float, str]:
    """The largest difference of any logged figure or trained weight, and which it is.

    Figures are compared relative to their size where that is above 1.
    """
    our_lines, their_lines = metrics(ours), metrics(theirs)
    assert len(our_lines) == len(their_lines) > 0
    found = [(0.0, "none")]
    for a, b in zip(our_lines, their_lines, strict=True):
        assert a.keys() == b.keys()
        where = f"{a['split']} step {a['step']}"
        found += [(_gap(a[name], b[name]), f"{where}: {name}") for name in a if name not in OF_THE_MACHINE]
    our_weights, their_weights = weights(ours), weights(theirs)
    assert our_weights.keys() == their_weights.keys() and our_weights
    found += [
        (float((tensor - their_weights[name]).abs().max()), name) for name, tensor in our_weights.items()
    ]
    return max(found)


def _gap(a: Any, b: Any) -> float:
    if isinstance(a, str) or a is None or b is None:
        return 0.0 if a == b else math.inf
    gap = abs(a - b) / max(1.0, abs(b))
    return gap if math.isfinite(gap) else math.inf


def moved(folder: Path, base: dict[str, Tensor] | None = None) -> float:
    """By how much training changed some weight: a run that did nothing equals any other that did not."""
    trained = weights(folder)
    if base is None:  # an adapter's B starts at zero
        return max(float(t.abs().max()) for name, t in trained.items() if "lora_B" in name)
    return max(float((t - base[name]).abs().max()) for name, t in trained.items())


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
