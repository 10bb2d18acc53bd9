"""lm-evaluation-harness on a baseline and on tuned models: what was lost or won elsewhere, and how surely.

All models answer the same questions, so a difference is paired by question: its error is far smaller than
that of the two scores. One model is in memory at a time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from palate.errors import CallError
from palate.evaluate.benchmarks.differences import BenchmarkDifference, difference_of, difference_of_group
from palate.evaluate.benchmarks.harness import Asked, HowAsked, ask_harness, task_manager
from palate.evaluate.benchmarks.tasks import local_tasks, unknown_task, with_cache
from palate.evaluate.benchmarks.wording import in_words
from palate.evaluate.contestants import Contestant
from palate.recipe import ModelOptions
from palate.watcher import Watcher

__all__ = ["Benchmarks", "check_benchmarks", "run_benchmarks"]

_BATCH_SIZE = 8


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """A row for each model against the baseline, for each task and each of its metrics."""

    rows: tuple[BenchmarkDifference, ...]
    sentence: str
    """What may be said of all of them; no more than the intervals allow."""
    chat_template: bool = False
    """Whether questions were asked in the models' chat templates, examples as earlier turns."""

    def as_dict(self) -> dict[str, Any]:
        """`benchmarks` as evaluation/comparison.json holds it."""
        return {
            "tasks": [row.as_dict() for row in self.rows],
            "chat_template": self.chat_template,
            "sentence": self.sentence,
        }


def check_benchmarks(tasks: Sequence[str], folder: Path | None = None) -> None:
    """Whatever can be wrong before a model is loaded.

    Raises:
        CallError: the harness is not installed, no task is named, one is named twice or is not known, or the
            folder cannot be used.
    """
    if find_spec("lm_eval") is None:
        raise CallError(
            "lm-evaluation-harness is not installed",
            where="--benchmarks",
            next="pip install 'palate[benchmarks]'",
        )
    if not tasks or len(set(tasks)) < len(tasks):
        raise CallError("name each benchmark task once", where="--benchmarks", next="--benchmarks TASK,TASK")
    local = local_tasks(folder, tasks) if folder is not None else {}
    if folder is not None and not local:
        raise CallError(f"it has none of {', '.join(tasks)}", where=str(folder))
    own = [name for name in tasks if name not in local]
    if own:
        known = task_manager(True).all_tasks
        for name in own:
            if name not in known:
                raise unknown_task(name, [*local, *known], folder)


def run_benchmarks(
    contestants: Sequence[Contestant],
    tasks: Sequence[str],
    *,
    folder: Path | None = None,
    limit: int | None = None,
    chat_template: bool = False,
    model: ModelOptions,
    batch_size: int = _BATCH_SIZE,
    seed: int = 0,
    watcher: Watcher | None = None,
) -> Benchmarks:
    """Ask every model every task's questions.

    Args:
        contestants: the baseline first.
        tasks: names of tasks or groups of tasks; those that `folder` has are read there and need no network,
            the others are the harness's own, whose data it fetches.
        folder: YAML and data files.
        limit: questions of each task, its first; all where absent.
        chat_template: ask in each model's chat template, examples as earlier turns; as plain text where
            false, which is the harness's own default.
        model: device, dtype, attention and quantization are used.
        batch_size: questions read at once.
        seed: of examples that are shown before a question, and of questions drawn anew for an error.
        watcher: told of each model.

    Raises:
        CallError: as `check_benchmarks`. WorkError: the harness fell short.
    """
    check_benchmarks(tasks, folder)
    watcher = watcher or Watcher()
    how = HowAsked(model, limit, batch_size, seed, chat_template)
    with tempfile.TemporaryDirectory() as cache:
        local = local_tasks(folder, tasks) if folder is not None else {}
        wanted = [with_cache(local[name], cache) if name in local else name for name in tasks]
        base, *others = [ask_harness(contestant, wanted, how, watcher) for contestant in contestants]
    rows = []
    for contestant, tuned in zip(contestants[1:], others, strict=True):
        rows += _rows(contestant.name, base, tuned, seed)
    asked_in = " All were asked in their chat templates." if chat_template else ""
    return Benchmarks(tuple(rows), in_words(rows) + asked_in, chat_template)


def _rows(model: str, base: Asked, tuned: Asked, seed: int) -> list[BenchmarkDifference]:
    """Groups before their tasks, as the harness lists them."""
    own = {(one.task, one.metric): one for one in tuned.scores}
    both = [(one, own[one.task, one.metric]) for one in base.scores if (one.task, one.metric) in own]
    of_tasks = {
        (first.task, first.metric): difference_of(model, first, second, seed=seed)
        for first, second in both
        if first.task not in base.leaves_of
    }
    rows = []
    for first, second in both:
        if first.task in base.leaves_of:
            inside = [
                of_tasks[leaf, first.metric]
                for leaf in base.leaves_of[first.task]
                if (leaf, first.metric) in of_tasks
            ]
            row = difference_of_group(model, first, second, inside)
        else:
            row = of_tasks[first.task, first.metric]
        rows.append(replace(row, group=base.group_of.get(first.task)))
    return rows
