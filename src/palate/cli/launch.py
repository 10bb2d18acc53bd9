"""Several processes of one command on this machine."""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

from palate.errors import CallError, WorkError

__all__ = ["is_launched", "is_main_process", "launch_processes", "settle_into_launch"]

# Set for the processes started here: they end with the one that started them.
_LAUNCHED = "PALATE_LAUNCHED"
# Processes, on however few processors: for trying things out.
_ALWAYS_ALLOWED = 8
# What one that failed leaves the others to say their last word in.
_PATIENCE_SECONDS = 8.0


def is_main_process() -> bool:
    """Whether this process speaks to the person: the only one, or the first of those a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def is_launched() -> bool:
    """Whether `launch_processes` started this process, and will tell the person if another is killed."""
    return _LAUNCHED in os.environ


def settle_into_launch() -> None:
    """Do as one of several processes should: be silent where it is not the main one, and end with a launcher
    of ours that is killed, by SIGTERM, which saves the run."""
    if not is_main_process():
        import logging
        import warnings

        logging.disable(logging.WARNING)
        warnings.simplefilter("ignore")
    if is_launched() and sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def launch_processes(num_processes: int, arguments: Sequence[str]) -> int:
    """`palate` with these arguments in so many processes that find each other; returns the exit code.

    The environment they are given is torchrun's, so that all launchers look the same from within. When one
    of them fails the others are stopped, and its exit code is returned. What this process is asked by signals
    is passed on to them.

    Raises:
        CallError: the number is none, or more than there are processors; or another launcher has started
            several already.
        WorkError: one of them was killed from outside, and so could not say anything.
    """
    if num_processes < 1:
        raise CallError("there has to be a process to work", where=f"--num-processes {num_processes}")
    most = max(_ALWAYS_ALLOWED, os.cpu_count() or 1)
    if num_processes > most:
        # Each of them loads a model: a slip of the finger would take the machine down.
        raise CallError(
            f"this machine has {os.cpu_count()} processors",
            where=f"--num-processes {num_processes}",
            next=f"give {most} at the most, one for each GPU",
        )
    if "WORLD_SIZE" in os.environ:
        raise CallError(
            "a launcher has started this process as one of several already",
            where=f"--num-processes {num_processes}",
            next="drop --num-processes; torchrun and accelerate launch have an option of their own",
        )
    environment = _environment(num_processes)
    workers = [
        # Groups of their own: a terminal's Ctrl-C comes here alone, and is passed on once.
        subprocess.Popen(
            [sys.executable, "-m", "palate", *arguments],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            process_group=0,
        )
        for rank in range(num_processes)
    ]
    asked: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        for worker in workers:
            worker.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    failed = _first_to_fail(workers)
    if failed is None:
        return 0
    _stop(workers)
    code = workers[failed].returncode
    if code < 0 and -code not in asked:
        raise _killed(failed, num_processes, -code)
    return 128 - code if code < 0 else code


def _environment(num_processes: int) -> dict[str, str]:
    given = os.environ | {
        "WORLD_SIZE": str(num_processes),
        "LOCAL_WORLD_SIZE": str(num_processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        _LAUNCHED: "1",
    }
    given.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))
    if sys.platform == "linux":
        # Or gloo looks for the address of the machine's name, which on many a laptop has none.
        given.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return given


def _first_to_fail(workers: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """The number of the first process that ended with anything but 0; None when all have ended well."""
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()

    def wait_for(number: int) -> None:
        workers[number].wait()
        ended.put(number)

    for number in range(len(workers)):
        threading.Thread(target=wait_for, args=(number,), daemon=True).start()
    for _ in workers:
        number = ended.get()
        if workers[number].returncode != 0:
            return number
    return None


def _stop(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    """Those still at work wait for one that is gone. The main one may yet have something to say."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while any(worker.poll() is None for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    for worker in workers:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def _killed(rank: int, num_processes: int, number: int) -> WorkError:
    error = WorkError(
        f"process {rank} of {num_processes} was ended by {signal.Signals(number).name}; so were the others",
        why="the system does that when memory ends" if number == signal.SIGKILL else "",
        next="the same command again goes on from the newest checkpoint",
    )
    error.exit_code = 128 + number
    return error


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
