"""Small trainings in processes of their own that kill themselves at a given event; and what they left.

An event is a row through the model, an optimizer step, or an operation on a file: whatever moment a kill
falls on, it falls before one of them. The child is a fork, so it costs no imports.
"""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from palate.durable import system
from palate.pipeline import train_stage
from palate.recipe import Recipe, ReferenceOptions
from palate.train import RunFolder
from palate.train.checkpoint import load_state
from palate.train.inputs import Source
from palate.train.progress import Progress
from tiny_run import metrics

Prepare = Callable[[pytest.MonkeyPatch], None]


def events_of(recipe: Recipe, prepare: Prepare) -> list[str]:
    """Train undisturbed; what happened, event by event. The tokens are there, as for those after it."""
    short = recipe.train.model_copy(update={"max_steps": 1})
    # One step: too few for a reference that moves, which tokens do not depend on.
    changes = {"output": f"{recipe.output}-before", "train": short, "reference": ReferenceOptions()}
    before = recipe.model_copy(update=changes)
    assert train_through(before, prepare) == 0
    names = Path(recipe.output).with_suffix(".events")

    def note(number: int, name: str) -> None:
        with names.open("a") as file:
            file.write(name + "\n")

    assert _in_child(recipe, prepare, note) == 0
    return names.read_text().splitlines()


def train_and_die(recipe: Recipe, prepare: Prepare, event: int) -> None:
    """Train until just before that event, and be killed."""

    def die(number: int, name: str) -> None:
        if number == event:
            os.kill(os.getpid(), signal.SIGKILL)

    assert _in_child(recipe, prepare, die) == -signal.SIGKILL


def train_through(recipe: Recipe, prepare: Prepare) -> int:
    """Train, or go on, to the end; the exit code."""
    return _in_child(recipe, prepare, lambda number, name: None)


def outcome(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Tensor]]:
    """Every line of metrics.jsonl, the summary and the last checkpoint's plain values, and all tensors the
    run ended with: weights, optimizer, generators."""
    lines = metrics(folder)
    summary = RunFolder(folder).read("summary.json")
    for values in (*lines, summary):
        values.pop("peak_memory_bytes", None)  # a process that does half the work may need less
    # A resumed run finds in the cache what the first had computed.
    for name in ("computed", "cached"):
        summary.pop(f"num_reference_completions_{name}")
    for name in ("reference_seconds", "total_seconds", "pairs_per_second"):
        summary.pop(name)
    newest = max((folder / "checkpoints").glob("step-*"))
    summary |= load_state(newest).state["progress"]
    tensors: dict[str, Tensor] = {}
    for place in (RunFolder(folder).trained, newest):
        for file in sorted(place.glob("*.safetensors")):
            tensors |= {f"{place.name}/{file.name}/{name}": t for name, t in load_file(file).items()}
    return lines, summary, tensors


def differences(ours: Path, theirs: Path) -> list[str]:
    """Where two runs are not equal to the last bit."""
    our_lines, our_summary, our_tensors = outcome(ours)
    their_lines, their_summary, their_tensors = outcome(theirs)
    found = [f"metrics: {a} != {b}" for a, b in zip(our_lines, their_lines, strict=False) if a != b]
    if len(our_lines) != len(their_lines):
        found.append(f"metrics: {len(our_lines)} lines != {len(their_lines)}")
    found += [
        f"summary: {name}: {our_summary.get(name)} != {their_summary.get(name)}"
        for name in our_summary.keys() | their_summary.keys()
        if our_summary.get(name) != their_summary.get(name)
    ]
    found += [
        f"tensor: {name}"
        for name in our_tensors.keys() | their_tensors.keys()
        if name not in our_tensors
        or name not in their_tensors
        or not torch.equal(our_tensors[name], their_tensors[name])
    ]
    return found


def noisy(patch: pytest.MonkeyPatch) -> None:
    """Losses that depend on Python's and numpy's generators too, and a clock that can be repeated."""
    plain = Source.compute

    def compute(self: Source, *args: Any, **kwargs: Any) -> Any:
        computed = plain(self, *args, **kwargs)
        if self.policy.model.training:
            factor = 1 + 0.1 * random.random() + 0.1 * float(np.random.rand())
            name = "chosen" if hasattr(computed.inputs, "chosen") else "logps"
            object.__setattr__(computed.inputs, name, getattr(computed.inputs, name) * factor)
        return computed

    patch.setattr(Source, "compute", compute)
    patch.setattr("palate.train.loop.time", Clock())


def worsening(patch: pytest.MonkeyPatch) -> None:
    """Noisy, and no evaluation is as good as the first."""
    noisy(patch)
    plain = Progress.after_evaluation

    def after_evaluation(self: Progress, figures: Any, options: Any) -> bool:
        return plain(self, {**figures, "loss": 1.0 + self.step}, options)

    patch.setattr(Progress, "after_evaluation", after_evaluation)


class Clock:
    """A second passes whenever it is looked at, and more of them later on in a run than at its beginning."""

    now = 0.0

    def perf_counter(self) -> float:
        self.now += 1.0
        return self.now


def _in_child(recipe: Recipe, prepare: Prepare, on_event: Callable[[int, str], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            torch.set_num_threads(1)
            with pytest.MonkeyPatch.context() as patch:
                prepare(patch)
                with _watched(patch, on_event):
                    train_stage(recipe)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def _watched(patch: pytest.MonkeyPatch, on_event: Callable[[int, str], None]) -> Iterator[None]:
    count = 0

    def watched(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            on_event(count - 1, name)
            return operation(*args, **kwargs)

        return call

    for name in system.__all__:
        patch.setattr(system, name, watched(f"file: {name}", getattr(system, name)))
    compute = Source.compute

    def row(self: Source, *args: Any, **kwargs: Any) -> Any:
        name = "row" if self.policy.model.training else "evaluation"
        return watched(name, compute)(self, *args, **kwargs)

    patch.setattr(Source, "compute", row)
    for kind in (torch.optim.AdamW,):
        patch.setattr(kind, "step", watched("step", kind.step))
    yield


def kill_after(seconds: float, recipe: Recipe, prepare: Prepare) -> bool:
    """Train, and be killed from outside after so long; whether it was not done before."""
    child = os.fork()
    if child == 0:
        try:
            torch.set_num_threads(1)
            with pytest.MonkeyPatch.context() as patch:
                prepare(patch)
                train_stage(recipe)
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
