"""Trackers: where a run can be watched as it goes, beside metrics.jsonl, which stays the truth.

A tracker is told exactly the lines of metrics.jsonl, the resolved recipe, and at the end the figures of the
summary. It is never waited for with anything: one that fails is let go, noted once, and caught up with by the
next session of the run. Everything goes through accelerate's tracker classes (`accelerate.tracking`).
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from palate.errors import ArtifactError, RecipeError
from palate.recipe import Recipe, dump_recipe
from palate.train.run_folder import RunFolder

__all__ = ["Trackers", "open_trackers", "refuse_missing_trackers"]

_STATE_FILE = "trackers.json"
_DEFAULT_PROJECT = "palate"

# These take a step they have seen already as the same step; the others would show it twice.
_TAKE_STEPS_AGAIN = {"tensorboard", "wandb"}

Steps = dict[str, int]


def refuse_missing_trackers(names: Sequence[str]) -> None:
    """Find out in an instant whether the trackers a recipe names are installed.

    Raises:
        RecipeError: one is not.
    """
    # A folder of that name in the working directory, where wandb keeps its files, is no library: no origin.
    missing = [name for name in names if (spec := find_spec(name)) is None or spec.origin is None]
    if missing:
        raise RecipeError(
            f"not installed: {', '.join(missing)}",
            where="train.trackers",
            next="pip install 'palate[trackers]', or drop it from train.trackers",
        )


class Trackers:
    """All trackers of a run, in its main process; without names it is told everything and does nothing."""

    def __init__(
        self,
        names: Sequence[str] = (),
        project: str = _DEFAULT_PROJECT,
        config: Mapping[str, Any] | None = None,
        folder: RunFolder | None = None,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._names, self._project, self._config = names, project, dict(config or {})
        self._folder, self._note = folder, note
        # Before a resumed run takes back the lines it will write again: these were told.
        self._told_earlier = _newest_steps(_lines(folder)) if folder is not None and names else {}
        self._followed: dict[str, _Followed] = {}
        self._state: dict[str, dict[str, Any]] = {}
        self._owns_accelerate_state = False

    def start(self, step: int = 0) -> None:
        """Begin a run in every tracker, or go on with the one there is, after `step` of a resumed run."""
        if not self._names or self._folder is None:
            return
        self._owns_accelerate_state = _ensure_accelerate_state()
        if step and self._folder.has(_STATE_FILE):
            self._state = self._folder.read(_STATE_FILE)
        else:
            self._state = {}
        for name in self._names:
            self._start(name, step, resumed=name in self._state)

    def log(self, line: Mapping[str, Any]) -> None:
        """Tell a line of metrics.jsonl to all that have not been told it."""
        for name in list(self._followed):
            self._tell(name, line)

    def finish(self, summary: Mapping[str, Any] | None = None) -> None:
        """Tell the numbers of the summary, where training got that far, and close what is open."""
        figures = {
            f"summary/{name}": int(value) if isinstance(value, bool) else value
            for name, value in _flat(summary or {}, "/").items()
            if isinstance(value, (int, float))
        }
        for name, followed in list(self._followed.items()):
            with self._letting_go_if_it_fails(name):
                if summary is not None:
                    followed.tracker.log(figures, step=summary["num_steps"])
                followed.tracker.finish()
        self._followed = {}
        if self._owns_accelerate_state:
            _reset_accelerate_state()
            self._owns_accelerate_state = False

    def _start(self, name: str, step: int, *, resumed: bool) -> None:
        assert self._folder is not None
        state = self._state.setdefault(name, {"id": uuid.uuid4().hex if name != "mlflow" else None})
        kept = _lines(self._folder) if resumed else []
        told = self._told_earlier if resumed else {}
        if name in _TAKE_STEPS_AGAIN:
            told = _newest_steps(kept)
        if "told" in state:  # it failed before its session ended
            told = {split: min(told.get(split, 0), until) for split, until in state.pop("told").items()}
        self._remember()  # before anyone else knows of it
        tracker = None
        with self._letting_go_if_it_fails(name, told):
            tracker = _build(name, self._project, self._folder, state["id"], step)
            tracker.start()
            if name == "mlflow":
                state["id"] = tracker.tracker.info.run_id
                self._remember()
                told = _steps_in_mlflow(state["id"])  # it can be asked: a kill may have cost it a line
            if name == "wandb" and tracker.tracker.offline:
                told = {}  # the newest session's file has the whole run: a kill cuts the end off the others
            # Of these two the newest session's counts; mlflow refuses to be told otherwise.
            if not resumed or name in ("trackio", "wandb"):
                tracker.store_init_configuration(self._config)
            self._followed[name] = _Followed(tracker, dict(told))
        for line in kept:
            self._tell(name, line)

    def _tell(self, name: str, line: Mapping[str, Any]) -> None:
        followed = self._followed.get(name)
        split, step = line["split"], line["step"]
        if followed is None or step <= followed.told.get(split, 0):
            return
        figures = {
            f"{split}/{key}": value
            for key, value in line.items()
            if key not in ("step", "split") and value is not None
        }
        with self._letting_go_if_it_fails(name):
            followed.tracker.log(figures, step=step)
            followed.told[split] = step

    @contextmanager
    def _letting_go_if_it_fails(self, name: str, told: Steps | None = None) -> Iterator[None]:
        """Whatever a tracker's library does, training goes on. `told` is for one that has not started."""
        try:
            # Their greetings do not belong to the result, which has standard output to itself.
            with redirect_stdout(sys.stderr):
                yield
        except Exception as error:
            followed = self._followed.pop(name, None)
            told = followed.told if followed is not None else told or {}
            self._state[name]["told"] = {split: told.get(split, 0) for split in ("train", "eval")}
            self._remember()
            said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"
            self._note(f"{name} no longer follows this run, metrics.jsonl has all of it: {said}")

    def _remember(self) -> None:
        """For the next session. Where it cannot be written, that one begins anew in the trackers."""
        assert self._folder is not None
        with suppress(ArtifactError):
            self._folder.write(_STATE_FILE, self._state)


@dataclass(slots=True)
class _Followed:
    """A tracker that is open, and the newest step of each split that it has been told."""

    tracker: Any
    told: Steps


def open_trackers(recipe: Recipe, folder: RunFolder, note: Callable[[str], None]) -> Trackers:
    """The trackers of a recipe, not started yet: to be opened before metrics.jsonl is shortened."""
    return Trackers(
        recipe.train.trackers,
        recipe.train.tracker_project or _DEFAULT_PROJECT,
        _flat(yaml.safe_load(dump_recipe(recipe)), "."),
        folder,
        note,
    )


def _build(name: str, project: str, folder: RunFolder, run_id: str | None, step: int) -> Any:
    """accelerate's tracker of that name, told to collect nothing but what it is told.

    Left alone, these libraries also send the code, the git state, the terminal's output and the machine's
    load: none of it is a line of metrics.jsonl, and some of it may hold secrets.
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    title = folder.path.resolve().name
    place = folder.path.resolve() / "trackers"
    given: dict[str, Any] = {}
    if name == "tensorboard":
        # Steps from here on that an earlier session wrote, or an earlier attempt, are taken back.
        given = {"logging_dir": place, "purge_step": step + 1}
        project = "tensorboard"
    elif name == "wandb":
        from wandb import Settings

        given = {
            "id": run_id,
            "name": title,
            "resume": "allow",
            "dir": os.environ.get("WANDB_DIR", place),
            "settings": Settings(
                console="off",
                quiet=True,
                disable_git=True,
                disable_code=True,
                disable_job_creation=True,
                x_disable_meta=True,
                x_disable_stats=True,
            ),
        }
        place.mkdir(exist_ok=True)
    elif name == "comet_ml":
        given = {"experiment_key": run_id, "mode": "get_or_create", "experiment_config": _comet(title, place)}
    elif name == "mlflow":
        given = {"run_id": run_id, "run_name": title}
    elif name == "trackio":
        given = {
            "name": f"{title}-{run_id[:8] if run_id else ''}",
            "resume": "allow",
            "embed": False,
            "auto_log_gpu": False,
            "auto_log_cpu": False,
        }
    return LOGGER_TYPE_TO_CLASS[name](project, **given)


def _steps_in_mlflow(run_id: str) -> Steps:
    from mlflow import MlflowClient

    client, newest = MlflowClient(), {}
    for split in ("train", "eval"):
        history = client.get_metric_history(run_id, f"{split}/epoch")
        newest[split] = max((metric.step for metric in history), default=0)
    return newest


def _comet(title: str, place: Path) -> Any:
    # Read when it is first imported. It would patch itself into mlflow and tensorboard, and tell itself again
    # what they are told.
    os.environ.setdefault("COMET_DISABLE_AUTO_LOGGING", "1")
    from comet_ml import ExperimentConfig

    offline = Path(os.environ.get("COMET_OFFLINE_DIRECTORY", place / "comet_ml"))
    offline.mkdir(parents=True, exist_ok=True)
    return ExperimentConfig(
        name=title,
        log_code=False,
        log_graph=False,
        parse_args=False,
        display_summary_level=0,
        log_git_metadata=False,
        log_git_patch=False,
        log_env_details=False,
        auto_output_logging=False,
        auto_param_logging=False,
        auto_metric_logging=False,
        auto_log_co2=False,
        offline_directory=str(offline),
    )


def _ensure_accelerate_state() -> bool:
    """accelerate's trackers speak through a state that has to be there; whether it was made here.

    Several processes have theirs. A process alone gets one that knows of no launcher, and so joins none.
    """
    from accelerate import PartialState
    from accelerate.utils import clear_environment

    if PartialState._shared_state:
        return False
    with clear_environment():
        PartialState(cpu=True)
    return True


def _reset_accelerate_state() -> None:
    from accelerate import PartialState

    PartialState._reset_state()


def _lines(folder: RunFolder) -> list[dict[str, Any]]:
    """The whole lines of metrics.jsonl; the last may be torn."""
    found = []
    try:
        text = folder.metrics_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            found.append(dict(json.loads(line)))
        except ValueError:
            break
    return found


def _newest_steps(lines: Sequence[Mapping[str, Any]]) -> Steps:
    newest: Steps = {}
    for line in lines:
        newest[line["split"]] = max(line["step"], newest.get(line["split"], 0))
    return newest


def _flat(tree: Mapping[str, Any], separator: str, path: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`; what no tracker has a type for as JSON."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, separator, f"{path}{name}{separator}")
        else:
            plain = isinstance(value, (str, int, float))
            flat[f"{path}{name}"] = value if plain else json.dumps(value, ensure_ascii=False)
    return flat
