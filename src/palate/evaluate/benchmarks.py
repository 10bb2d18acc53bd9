"""lm-evaluation-harness on a baseline and on tuned models: what was lost or won elsewhere, and how surely.

All models answer the same questions, so a difference is paired by question: its error is far smaller than
that of the two scores. One model is in memory at a time.
"""

from __future__ import annotations

import gc
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from jinja2 import TemplateError

from palate.engine import load_trained
from palate.errors import CallError, WorkError
from palate.evaluate.benchmark_differences import BenchmarkDifference, Scores, difference_of, in_words
from palate.evaluate.benchmark_tasks import local_tasks, unknown_task
from palate.evaluate.contestants import Contestant
from palate.recipe import ModelOptions
from palate.watcher import Watcher

__all__ = ["Benchmarks", "check_benchmarks", "run_benchmarks"]

_BATCH_SIZE = 8
_NUM_RESAMPLES = 1000
"""Of the harness's own bootstrap, for metrics that have no scores by question."""


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """A row for each model against the baseline, for each task and each of its metrics."""

    rows: tuple[BenchmarkDifference, ...]
    sentence: str
    """What may be said of all of them; no more than the intervals allow."""

    def as_dict(self) -> dict[str, Any]:
        """`benchmarks` as evaluation/comparison.json holds it."""
        return {"tasks": [row.as_dict() for row in self.rows], "sentence": self.sentence}


def check_benchmarks(tasks: Sequence[str], folder: Path | None = None) -> None:
    """Whatever can be wrong before a model is loaded.

    Raises:
        CallError: the harness is not installed, no task is named, one is named twice, or the folder cannot be
            used.
    """
    if find_spec("lm_eval") is None:
        raise CallError(
            "lm-evaluation-harness is not installed",
            where="--benchmarks",
            next="pip install 'palate[benchmarks]'",
        )
    if not tasks or len(set(tasks)) < len(tasks):
        raise CallError("name each benchmark task once", where="--benchmarks", next="--benchmarks TASK,TASK")
    if folder is not None and not local_tasks(folder, tasks):
        raise CallError(f"it has none of {', '.join(tasks)}", where=str(folder))


def run_benchmarks(
    contestants: Sequence[Contestant],
    tasks: Sequence[str],
    *,
    folder: Path | None = None,
    limit: int | None = None,
    model: ModelOptions,
    batch_size: int = _BATCH_SIZE,
    seed: int = 0,
    watcher: Watcher | None = None,
) -> Benchmarks:
    """Ask every model every task's questions, as the task puts them: without a chat template.

    Args:
        contestants: the baseline first.
        tasks: names; those that `folder` has are read there and need no network, the others are the harness's
            own, whose data it fetches.
        folder: YAML and data files.
        limit: questions of each task, its first; all where absent.
        model: device, dtype, attention and quantization are used.
        batch_size: questions read at once.
        seed: of examples that are shown before a question.
        watcher: told of each model.

    Raises:
        CallError: as `check_benchmarks`, or there is no such task. WorkError: the harness fell short.
    """
    check_benchmarks(tasks, folder)
    watcher = watcher or Watcher()
    with tempfile.TemporaryDirectory() as cache:
        wanted = _wanted(tasks, folder, cache)
        base, *others = [
            _scores(contestant, wanted, limit, model, batch_size, seed, watcher) for contestant in contestants
        ]
    rows = []
    for contestant, tuned in zip(contestants[1:], others, strict=True):
        own = {(one.task, one.metric): one for one in tuned}
        rows += [difference_of(contestant.name, one, own[one.task, one.metric]) for one in base]
    return Benchmarks(tuple(rows), in_words(rows))


def _wanted(tasks: Sequence[str], folder: Path | None, cache: str) -> list[str | dict[str, Any]]:
    """Each task as the harness takes it; data of local ones are kept nowhere but in `cache`."""
    local = local_tasks(folder, tasks) if folder is not None else {}
    for config in local.values():
        config["dataset_kwargs"] = {**(config.get("dataset_kwargs") or {}), "cache_dir": cache}
    own = [name for name in tasks if name not in local]
    if own:
        from lm_eval.tasks import TaskManager

        known = TaskManager().all_tasks
        for name in own:
            if name not in known:
                raise unknown_task(name, [*local, *known], folder)
    return [local.get(name, name) for name in tasks]


def _scores(
    contestant: Contestant,
    tasks: Sequence[str | Mapping[str, Any]],
    limit: int | None,
    model: ModelOptions,
    batch_size: int,
    seed: int,
    watcher: Watcher,
) -> list[Scores]:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    policy = load_trained(contestant.source, model, folder=contestant.folder)
    try:
        with _sandboxed(f"benchmarks of {contestant.name}", watcher), policy.evaluating():
            # The bare model, whose layers hold the adapter where there is one.
            asked = HFLM(pretrained=policy.causal_lm, tokenizer=policy.tokenizer, batch_size=batch_size)
            results = simple_evaluate(
                model=asked,
                tasks=deepcopy(list(tasks)),  # the harness changes what it is given
                limit=limit,
                log_samples=True,
                bootstrap_iters=_NUM_RESAMPLES,
                task_manager=TaskManager(include_defaults=any(isinstance(task, str) for task in tasks)),
                random_seed=seed,
                numpy_random_seed=seed,
                torch_random_seed=seed,
                fewshot_random_seed=seed,
            )
    except (OSError, ValueError, KeyError, RuntimeError, TemplateError) as error:
        raise WorkError(
            "lm-evaluation-harness fell short",
            where=contestant.name,
            why=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
        ) from error
    finally:
        del policy
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return _read(results)


def _read(results: Any) -> list[Scores]:
    """Each task's metrics, in the order in which the task names them."""
    found = []
    for task, samples in results["samples"].items():
        aggregated = results["results"][task]
        for key, value in aggregated.items():
            metric, _, filtered = key.partition(",")
            if metric.endswith("_stderr") or not filtered or not isinstance(value, int | float):
                continue
            error = aggregated.get(f"{metric}_stderr,{filtered}")
            by_question = {
                str(sample["doc_id"]): float(sample[metric])
                for sample in samples
                if sample["filter"] == filtered and isinstance(sample.get(metric), int | float)
            }
            num = len({sample["doc_id"] for sample in samples})
            found.append(
                Scores(
                    task,
                    metric if filtered == "none" else f"{metric} ({filtered})",
                    float(value),
                    float(error) if isinstance(error, int | float) else None,
                    by_question if len(by_question) == num else {},
                    num,
                    bool(results["higher_is_better"].get(task, {}).get(metric, True)),
                )
            )
    return found


@contextmanager
def _sandboxed(task: str, watcher: Watcher) -> Iterator[None]:
    """Tasks' templates cannot reach Python; the harness tells the watcher how far it is, and errors."""
    import datasets
    from jinja2 import BaseLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment
    from lm_eval import utils
    from lm_eval.api import model
    from lm_eval.api import task as task_module
    from lm_eval.models import huggingface

    sandbox = SandboxedEnvironment(loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True)
    sandbox.filters.update(utils.env.filters)
    logger, was_shown = logging.getLogger("lm_eval"), not datasets.are_progress_bars_disabled()
    level = logger.level
    bar = partial(_Bar, task, watcher)
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        with ExitStack() as patched:
            patched.enter_context(mock.patch.object(utils, "env", sandbox))
            for module in (model, task_module, huggingface):
                patched.enter_context(mock.patch.object(module, "tqdm", bar))
            yield
    finally:
        logger.setLevel(level)
        if was_shown:
            datasets.enable_progress_bars()


class _Bar:
    """Stands where the harness has its progress bar."""

    def __init__(
        self, task: str, watcher: Watcher, over: Iterable[Any] = (), total: int | None = None, **_: Any
    ) -> None:
        self._over = list(over)
        self._watcher, self._done = watcher, 0
        watcher.begin(task, total if total is not None else len(self._over))

    def __iter__(self) -> Iterator[Any]:
        for one in self._over:
            yield one
            self.update(1)
        self.close()

    def update(self, num: int = 1) -> None:
        self._done += num
        self._watcher.advance(self._done)

    def close(self) -> None:
        self._watcher.end()
