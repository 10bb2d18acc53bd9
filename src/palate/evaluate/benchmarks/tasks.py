"""Benchmark tasks from a folder: YAML as lm-evaluation-harness reads it, and data files beside it.

Nothing in the folder is executed. A task that names Python (`!function`, `class`) is refused, and its
templates run in a sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from palate.errors import CallError, did_you_mean

__all__ = ["local_tasks", "unknown_task", "with_cache"]

_PYTHON = ("class", "custom_dataset", "process_docs", "process_results", "unsafe_code")


def local_tasks(folder: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The configurations of those tasks and groups that the folder has, by name; files they name are made
    absolute.

    Args:
        folder: `*.yaml` files, at any depth.
        names: the tasks that are asked for.

    Raises:
        CallError: there is no such folder, a file in it is no YAML, or a task that is asked for cannot be
            had without executing what it names.
    """
    if not folder.is_dir():
        raise CallError("there is no such folder of tasks", where=str(folder))
    found: dict[str, dict[str, Any]] = {}
    problems: dict[str, str] = {}
    for file in sorted(folder.rglob("*.y*ml")):
        try:
            config = _config(file, folder)
        except (yaml.YAMLError, ValueError, OSError) as error:
            problems[file.stem] = " ".join(str(error).split())
            continue
        name = config.get("group", config.get("task"))
        if isinstance(name, str):
            found[name] = config
            if python := [key for key in _PYTHON if config.get(key)]:
                problems[name] = f"`{python[0]}` names Python, and nothing in a folder of tasks is executed"
    known = {name: config for name, config in found.items() if name not in problems}
    for name in names:
        for inside in [name, *_tasks_of(name, found)]:
            if inside in problems:
                raise CallError(f"{inside}: {problems[inside]}", where=str(folder))
    return {name: _whole(name, known, folder) for name in names if name in known}


def with_cache(config: Mapping[str, Any], cache: str) -> dict[str, Any]:
    """The same, but that data are prepared in the folder `cache` and kept nowhere else."""
    if "group" in config:
        return {**config, "task": [with_cache(own, cache) for own in config["task"]]}
    return {**config, "dataset_kwargs": {**(config.get("dataset_kwargs") or {}), "cache_dir": cache}}


def _tasks_of(name: str, found: Mapping[str, Mapping[str, Any]], above: tuple[str, ...] = ()) -> list[str]:
    """What is in a group, and in groups in it; nothing for a task."""
    config = found.get(name, {})
    own = config.get("task") if "group" in config else None
    if not isinstance(own, list):
        return []
    names = [one for one in own if isinstance(one, str) and one not in (*above, name)]
    return [inside for one in names for inside in (one, *_tasks_of(one, found, (*above, name)))]


def _whole(
    name: str, known: Mapping[str, dict[str, Any]], folder: Path, above: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A task's configuration, or a group's with those of its tasks in it."""
    config = known[name]
    if "group" not in config:
        return config
    own = config.get("task")
    if name in above or not isinstance(own, list) or not own or not all(isinstance(one, str) for one in own):
        raise CallError(f"{name}: a group lists the names of its tasks under `task`", where=str(folder))
    for one in own:
        if one not in known:
            raise CallError(f'{name}: its task "{one}" is not in this folder', where=str(folder))
    return {**config, "task": [_whole(one, known, folder, (*above, name)) for one in own]}


def unknown_task(name: str, known: Sequence[str], folder: Path | None) -> CallError:
    """Said of a task that neither the folder nor the harness has."""
    where = f"of {folder} " if folder is not None else ""
    return CallError(
        f'"{name}": there is no such benchmark task.{did_you_mean(name, known)}',
        where="--benchmarks",
        why=f"neither a task {where}nor one of lm-evaluation-harness's own is called so",
        next="all of the harness's own: lm_eval ls tasks",
    )


def _config(file: Path, folder: Path) -> dict[str, Any]:
    """A YAML file with what it includes under it, and its data files' paths made absolute.

    Plain YAML only: a tag such as `!function` is an error of the loader.
    """
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        return {}
    included = config.pop("include", None)
    if included is not None:
        other = (file.parent / str(included)).resolve()
        if not other.is_relative_to(folder.resolve()) or other == file.resolve():
            raise ValueError(f"it includes {included}, which lies outside the folder")
        config = _config(other, folder) | config
    arguments = config.get("dataset_kwargs")
    if isinstance(arguments, Mapping) and "data_files" in arguments:
        files = _absolute(arguments["data_files"], file.parent)
        config["dataset_kwargs"] = {**arguments, "data_files": files}
    return config


def _absolute(files: Any, folder: Path) -> Any:
    if isinstance(files, Mapping):
        return {split: _absolute(own, folder) for split, own in files.items()}
    if isinstance(files, list):
        return [_absolute(own, folder) for own in files]
    return str(files) if "://" in str(files) else str((folder / str(files)).resolve())
