"""lm-evaluation-harness, asked about one model: sandboxed, silent, and read question by question."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from unittest import mock

import torch

from palate.engine import Policy, load_trained
from palate.engine.tokens import TEMPLATES
from palate.errors import PalateError, WorkError, did_you_mean
from palate.evaluate.benchmarks.differences import Scores
from palate.evaluate.contestants import Contestant
from palate.recipe import ModelOptions
from palate.watcher import Watcher

__all__ = ["Asked", "HowAsked", "ask_harness", "task_manager"]


@dataclass(frozen=True, slots=True)
class HowAsked:
    """What is the same for all models."""

    model: ModelOptions
    limit: int | None
    batch_size: int
    seed: int
    chat_template: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model did on every task, by every metric, and on groups of tasks."""

    scores: tuple[Scores, ...]
    group_of: Mapping[str, str]
    """The group that is asked for, for each of its tasks and each group within it."""
    leaves_of: Mapping[str, tuple[str, ...]]
    """The tasks of a group."""


def ask_harness(
    contestant: Contestant, tasks: Sequence[str | Mapping[str, Any]], how: HowAsked, watcher: Watcher
) -> Asked:
    """One model's scores; it is in memory no longer when they come back.

    Raises:
        WorkError: the harness fell short, or the model has no chat template to be asked in.
    """
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    policy = load_trained(contestant.source, how.model, folder=contestant.folder)
    try:
        with _sandboxed(f"benchmarks of {contestant.name}", watcher), policy.evaluating():
            if how.chat_template:
                _settle_template(policy, contestant)
            # The bare model, whose layers hold the adapter where there is one.
            lm = HFLM(pretrained=policy.causal_lm, tokenizer=policy.tokenizer, batch_size=how.batch_size)
            manager = task_manager(any(isinstance(task, str) for task in tasks))
            with _remembered(manager) as loaded:
                results = simple_evaluate(
                    model=lm,
                    tasks=[_built(task, manager) for task in tasks],
                    limit=how.limit,
                    log_samples=True,
                    bootstrap_iters=0,
                    task_manager=manager,
                    apply_chat_template=how.chat_template,
                    fewshot_as_multiturn=how.chat_template,
                    random_seed=how.seed,
                    numpy_random_seed=how.seed,
                    torch_random_seed=how.seed,
                    fewshot_random_seed=how.seed,
                )
            return _read(results, loaded)
    except PalateError:
        raise
    except (
        Exception
    ) as error:  # whatever a task's configuration, its data or its metric makes the harness raise
        raise _fell_short(contestant, error) from error
    finally:
        del policy
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@cache
def task_manager(with_own_tasks: bool) -> Any:
    """The harness's, kept: it reads thousands of files to know its own tasks."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_defaults=with_own_tasks)


def _settle_template(policy: Policy, contestant: Contestant) -> None:
    """The harness asks in the tokenizer's own template: put there the one that the model was trained in."""
    if contestant.template != "tokenizer":
        policy.tokenizer.chat_template = TEMPLATES[contestant.template]
    if not policy.tokenizer.chat_template:
        raise WorkError(
            "it has no chat template to be asked in",
            where=contestant.name,
            next="drop benchmark_chat_template",
        )


def _fell_short(contestant: Contestant, error: Exception) -> WorkError:
    """What the harness raised, and behind it what made the reading of data fail."""
    cause = error.__cause__ if error.__cause__ is not None and "Dataset" in type(error).__name__ else error
    why = f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}"
    if _is_about_network(error):
        why += "; its data are fetched: run once with a network, or keep task and data in --benchmark-tasks"
    return WorkError("lm-evaluation-harness fell short", where=contestant.name, why=why)


def _is_about_network(error: BaseException | None) -> bool:
    names = ("ConnectionError", "ConnectError", "OfflineModeIsEnabled", "LocalEntryNotFoundError", "Timeout")
    while error is not None:
        if type(error).__name__ in names or "offline mode" in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False


def _built(task: str | Mapping[str, Any], manager: Any) -> Any:
    """A task as the harness takes it; a group of configurations cannot be named in one."""
    from lm_eval.api.group import Group
    from lm_eval.config.group import GroupConfig

    if isinstance(task, str):
        return task
    config = deepcopy(dict(task))  # the harness changes what it is given
    if "group" not in config:
        _refuse_foreign_metrics(config)
        return next(iter(manager.load([config])["tasks"].values()))
    inside = [_built(own, manager) for own in config.pop("task")]
    group = Group.from_config(GroupConfig(**config, task=[]))
    for one in inside:
        group.add(one)
    return group


def _refuse_foreign_metrics(config: Mapping[str, Any]) -> None:
    """The harness would fetch the code of a metric that it does not have, and execute it."""
    from lm_eval.api import metrics, registry

    assert metrics  # importing it fills the registry
    named = config.get("metric_list") or []
    for one in named if isinstance(named, list) else [named]:
        own = one if isinstance(one, dict) else {"metric": one}
        name = own.get("metric")
        if own.get("hf_evaluate") or not isinstance(name, str) or name not in registry.metric_registry:
            known = sorted(registry.metric_registry)
            raise WorkError(
                f"{config.get('task')}: the harness has no metric of its own called {name}."
                f"{did_you_mean(str(name), known)}",
                where="--benchmark-tasks",
                why="code of any other would be fetched and executed",
            )


@contextmanager
def _remembered(manager: Any) -> Iterator[dict[str, Any]]:
    """The tasks that the harness loads, which know how their metrics are aggregated."""
    loaded: dict[str, Any] = {}
    load = manager.load

    def remember(specs: Any) -> Any:
        found = load(specs)
        loaded.update(found["tasks"])
        return found

    with mock.patch.object(manager, "load", remember):
        yield loaded


def _read(results: Any, loaded: Mapping[str, Any]) -> Asked:
    """Each task's metrics, in the order in which the task names them; groups before their tasks."""
    children = {group: list(own) for group, own in results.get("group_subtasks", {}).items() if own}
    leaves = {group: tuple(_leaves(group, children)) for group in children}
    inside = {name for own in children.values() for name in own}
    group_of = {
        name: group
        for group in children
        if group not in inside
        for name in (
            *leaves[group],
            *(own for own in children if own != group and own in _below(group, children)),
        )
    }
    found = []
    for name in (*children, *results["samples"]):
        aggregated = results["results"].get(name, {})
        samples = results["samples"].get(name, ())
        higher = results["higher_is_better"].get(name, {})
        aggregations = loaded[name].aggregation() if name in loaded else {}
        for key, value in aggregated.items():
            metric, _, filtered = key.partition(",")
            if metric.endswith("_stderr") or not filtered or not isinstance(value, int | float):
                continue
            own = {
                str(sample["doc_id"]): sample[metric]
                for sample in samples
                if sample["filter"] == filtered and metric in sample
            }
            found.append(
                Scores(
                    name,
                    metric if filtered == "none" else f"{metric} ({filtered})",
                    float(value),
                    own,
                    _aggregation(aggregations.get(metric), own),
                    higher.get(metric) is not False,
                )
            )
    return Asked(tuple(found), group_of, leaves)


def _aggregation(
    aggregate: Callable[[Sequence[Any]], float] | None, own: Mapping[str, Any]
) -> Callable[[Sequence[Any]], float] | None:
    """None for a mean of numbers, which is also what the harness takes where a task names nothing."""
    is_mean = aggregate is None or getattr(aggregate, "__name__", "") == "mean"
    return None if is_mean and all(isinstance(one, int | float) for one in own.values()) else aggregate


def _leaves(group: str, children: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name in children[group]:
        yield from _leaves(name, children) if name in children else [name]


def _below(group: str, children: Mapping[str, Sequence[str]]) -> set[str]:
    return {
        inner for name in children[group] if name in children for inner in (name, *_below(name, children))
    }


@contextmanager
def _sandboxed(task: str, watcher: Watcher) -> Iterator[None]:
    """Tasks' templates cannot reach Python; the harness tells the watcher how far it is, and errors."""
    import datasets
    from jinja2 import BaseLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment
    from lm_eval import evaluator, utils
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
            # It asks git about the current folder, and git complains on the terminal where there is none.
            patched.enter_context(mock.patch.object(evaluator, "get_git_commit_hash", lambda: None))
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
