"""The two tools, each measured in a process of its own.

Both are timed alike: from the end of the last warm-up step to the end of the last step, wall clock, with
everything in between. What a tool does before its first step and must do for every pair counts too: Palate
fills its reference cache there, from empty.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workload import (
    BATCH_SIZE,
    LEARNING_RATE,
    LORA_ALPHA,
    LORA_RANK,
    Settings,
    Workload,
    build_recipe,
    read_settings,
)

__all__ = ["measure_palate", "measure_trl"]

# Log-probabilities are compared on this many pairs, the run's first.
NUM_COMPARED = 64


@dataclass(frozen=True, slots=True)
class Moment:
    """Seconds on the wall, and seconds of processor time of all threads."""

    wall: float
    cpu: float

    def since(self, start: Moment) -> Moment:
        """The time from `start` to here."""
        return Moment(self.wall - start.wall, self.cpu - start.cpu)


def measure_palate(folder: Path, *, grouped: bool) -> dict[str, Any]:
    """Palate's own `train`, watched from outside."""
    _start(folder)
    from palate.data import read_records
    from palate.train import RunFolder, train
    from palate.watcher import Watcher

    class Clock(Watcher):
        """Notes when things happen."""

        def __init__(self) -> None:
            self.begun: dict[str, Moment] = {}
            self.ended: dict[str, Moment] = {}
            self.steps: list[Moment] = []
            self.task = ""

        def begin(self, task: str, total: int) -> None:
            self.task = task
            self.begun[task] = _now()

        def advance(self, done: int, detail: str = "") -> None:
            if self.task == "training":
                self.steps.append(_now())

        def end(self) -> None:
            self.ended[self.task] = _now()

    settings, workload = read_settings(folder), Workload(folder)
    run = RunFolder(folder / ("palate_grouped" if grouped else "palate"))
    os.environ["PALATE_HOME"] = str(run.path.with_suffix(".home"))
    recipe = build_recipe(settings, workload, run.path, grouped=grouped)
    clock = Clock()
    run.begin(recipe)
    before = _memory_now()
    summary = train(recipe, read_records(recipe.data.train), None, run, clock)
    peak = _memory_peak()
    task = "reference log-probabilities"
    filling = clock.ended[task].since(clock.begun[task])
    metrics = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    return {
        **_rate(clock.steps, settings, filling),
        "reference_seconds": filling.wall,
        "peak_memory_bytes": peak,
        "memory_before_loading_bytes": before,
        "sharing_factor": summary["sharing_factor"],
        "layout": summary["layout"],
        "losses": [line["loss"] for line in metrics if line["split"] == "train"],
        "adapter_dtype": "float32",
        "logps": _palate_logps(recipe, folder, grouped),
    }


def _palate_logps(recipe: Any, folder: Path, grouped: bool) -> list[float]:
    """Summed log-probabilities under the untrained model, as the run used them: the reference cache's."""
    import numpy as np

    from palate.engine import Branch, Reference, load_policy

    rows = _rows(folder, grouped)[:NUM_COMPARED]
    branches = [
        Branch(np.array(row[f"{side}_ids"]), np.array(row[f"{side}_scored"]))
        for side in ("chosen", "rejected")
        for row in rows
    ]
    reference = Reference(load_policy(recipe.model, seed=recipe.seed), "tree")
    try:
        return [float(value) for value in reference.logps(branches).sums()]
    finally:
        reference.close()


def measure_trl(folder: Path, *, grouped: bool, variant: str) -> dict[str, Any]:
    """trl's DPOTrainer. `variant` is SIZExACCUMULATION, and `+checkpointing`, `+autocast` where wanted."""
    _start(folder)
    import torch
    from datasets import Dataset, disable_caching, disable_progress_bars
    from peft import LoraConfig
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, PrinterCallback, TrainerCallback
    from transformers.utils import logging
    from trl import DPOConfig, DPOTrainer

    warnings.simplefilter("ignore", FutureWarning)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_caching()
    disable_progress_bars()

    class Clock(TrainerCallback):  # type: ignore[misc]
        """Notes when things happen."""

        def __init__(self) -> None:
            self.steps: list[Moment] = []
            self.losses: list[float] = []

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.steps.append(_now())

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                self.losses.append(logs["loss"])

    settings, workload = read_settings(folder), Workload(folder)
    rows = _rows(folder, grouped)
    shape, *extras = variant.split("+")
    size, accumulation = (int(number) for number in shape.split("x"))
    if size * accumulation != BATCH_SIZE or not set(extras) <= {"checkpointing", "autocast"}:
        raise SystemExit(f"{variant}: not a batch of {BATCH_SIZE} pairs with +checkpointing or +autocast")
    clock = Clock()
    before = _memory_now()
    trainer = DPOTrainer(
        model=str(workload.model),
        args=DPOConfig(
            output_dir=str(folder / "trl"),
            model_init_kwargs={"dtype": settings.dtype},
            beta=settings.beta,
            max_length=settings.max_length,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulation,
            max_steps=settings.num_steps,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            warmup_steps=0,
            train_sampling_strategy="sequential",
            gradient_checkpointing="checkpointing" in extras,
            bf16="autocast" in extras,
            use_cpu=True,
            seed=settings.seed,
            save_strategy="no",
            eval_strategy="no",
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(
            [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in rows]
        ),
        processing_class=AutoTokenizer.from_pretrained(workload.model),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM",
            r=LORA_RANK,
            lora_alpha=LORA_ALPHA,
            lora_dropout=0.0,
            target_modules="all-linear",
        ),
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    _refuse_other_tokens(trainer.train_dataset, rows)
    _set_adapter(trainer.model, load_file(folder / "adapter.safetensors"))
    adapter_dtypes = {
        str(p.dtype).removeprefix("torch.") for p in trainer.model.parameters() if p.requires_grad
    }
    trainer.train()
    peak = _memory_peak()
    compared = []
    with torch.no_grad():
        for start in range(0, min(NUM_COMPARED, len(rows)), BATCH_SIZE):
            batch = trainer.data_collator(
                [trainer.train_dataset[i] for i in range(start, start + BATCH_SIZE)]
            )
            compared.append(trainer.compute_ref_log_probs(trainer.model, batch))
    sides = [torch.cat(parts) for parts in zip(*compared, strict=True)]
    return {
        **_rate(clock.steps, settings, Moment(0.0, 0.0)),
        "peak_memory_bytes": peak,
        "memory_before_loading_bytes": before,
        "losses": clock.losses,
        "variant": variant,
        "adapter_dtype": ", ".join(sorted(adapter_dtypes)),
        "logps": [float(value) for side in sides for value in side],
    }


def _refuse_other_tokens(dataset: Any, rows: list[dict[str, Any]]) -> None:
    """The comparison is honest only where both tools see the same tokens and score the same ones."""
    if len(dataset) != len(rows):
        raise SystemExit(f"trl keeps {len(dataset)} of {len(rows)} rows: not the same data")
    for number, (theirs, row) in enumerate(zip(dataset, rows, strict=True)):
        for side in ("chosen", "rejected"):
            ids = theirs["prompt_ids"] + theirs[f"{side}_ids"]
            scored = [False] * len(theirs["prompt_ids"]) + [True] * len(theirs[f"{side}_ids"])
            if (ids, scored) != (row[f"{side}_ids"], row[f"{side}_scored"]):
                raise SystemExit(
                    f"row {number}: trl's {side} tokens or mask differ from Palate's: nothing to compare"
                )


def _set_adapter(model: Any, initial: dict[str, Any]) -> None:
    import torch

    own = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if own.keys() != initial.keys():
        raise SystemExit("trl's adapter covers other modules than Palate's: nothing to compare")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(initial[name])


def _rate(step_ends: list[Moment], settings: Settings, beforehand: Moment) -> dict[str, Any]:
    """Pairs per second over the steps after the warm-up.

    beforehand: time spent before the first step for the pairs of all steps; each pair's share of it counts.
    Processor time is what to look at where the machine was busy with other things.
    """
    steps = [b.since(a) for a, b in itertools.pairwise(step_ends[settings.num_warmup_steps - 1 :])]
    num_measured, num_all = len(steps) * BATCH_SIZE, settings.num_steps * BATCH_SIZE
    wall = sum(step.wall for step in steps) / num_measured + beforehand.wall / num_all
    cpu = sum(step.cpu for step in steps) / num_measured + beforehand.cpu / num_all
    return {
        "pairs_per_second": 1 / wall,
        "cpu_seconds_per_pair": cpu,
        "step_seconds": [step.wall for step in steps],
    }


def _now() -> Moment:
    return Moment(time.perf_counter(), time.process_time())


def _rows(folder: Path, grouped: bool) -> list[dict[str, Any]]:
    return json.loads(Workload(folder).rows(grouped).read_text(encoding="utf-8"))


def _start(folder: Path) -> None:
    """Import beforehand what either tool would import late, so that both begin with the same memory."""
    import peft  # noqa: F401
    import torch
    from transformers import LlamaForCausalLM  # noqa: F401

    torch.set_num_threads(read_settings(folder).num_threads)


def _memory_now() -> int:
    return _from_proc("VmRSS") or _memory_peak()


def _memory_peak() -> int:
    """The most memory this process ever had resident.

    From /proc where there is one: `ru_maxrss` starts at what the parent process had when it started this one.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _from_proc("VmHWM") or (peak if sys.platform == "darwin" else peak * 1024)


def _from_proc(name: str) -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    lines = (line.split() for line in status.read_text().splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == f"{name}:"), 0)
