"""Several processes of one command on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from palate.errors import CallError

__all__ = ["is_main_process", "launch_processes"]


def is_main_process() -> bool:
    """Whether this process speaks to the person: the only one, or the first of those a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def launch_processes(num_processes: int, arguments: Sequence[str]) -> int:
    """`palate` with these arguments in so many processes that find each other; returns the exit code.

    The environment they are given is torchrun's, so that all launchers look the same from within. When one
    of them fails the others are stopped. What this process is asked by signals is passed on to them.
    """
    if num_processes < 1:
        raise CallError("there has to be a process to work", where=f"--num-processes {num_processes}")
    common = os.environ | {
        "WORLD_SIZE": str(num_processes),
        "LOCAL_WORLD_SIZE": str(num_processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
    }
    common.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))
    command = [sys.executable, "-m", "palate", *arguments]
    workers = [
        subprocess.Popen(command, env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(num_processes)
    ]

    def pass_on(number: int, frame: FrameType | None) -> None:
        for worker in workers:
            worker.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    # A terminal sends Ctrl-C to every process of the group itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _wait_for(workers)


def _wait_for(workers: Sequence[subprocess.Popen[bytes]]) -> int:
    while any(worker.poll() is None for worker in workers):
        if failed := [worker for worker in workers if worker.poll() not in (None, 0)]:
            _stop(workers)
            return _exit_code(failed[0])
        time.sleep(0.1)
    return max(_exit_code(worker) for worker in workers)


def _stop(workers: Sequence[subprocess.Popen[bytes]], patience_seconds: float = 10.0) -> None:
    """Those still at work wait for one that is gone. The main one may yet have something to say."""
    deadline = time.monotonic() + patience_seconds
    while any(worker.poll() is None for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    for worker in workers:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def _exit_code(worker: subprocess.Popen[bytes]) -> int:
    code = worker.returncode
    return 128 - code if code < 0 else code


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
