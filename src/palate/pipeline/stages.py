"""The stages of a run. Each reads the recipe, does its work, and leaves its files in the run folder.

Here names that only Palate knows (`playground`) become folders and files; the rooms below never see them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from palate.data import RecordStream
from palate.errors import PalateError, RecipeError
from palate.pipeline.auditing import audit_before_run
from palate.pipeline.bases import base_folder
from palate.pipeline.comparing import check_comparison, compare_stage, prompts_of
from palate.pipeline.diagnosing import diagnose_stage, diagnosed_if_it_fails, telling_diagnosis
from palate.pipeline.preferences import open_source
from palate.recipe import CompareOptions, Recipe, load_recipe
from palate.report import build_report
from palate.train import Processes, RunFolder, file_hash, join_processes, train
from palate.train.trackers import refuse_missing_trackers
from palate.watcher import Watcher

__all__ = [
    "report_stage",
    "resume_run",
    "run_recipe",
    "train_stage",
]


def run_recipe(
    recipe: Recipe, watcher: Watcher | None = None, processes: Processes | None = None
) -> dict[str, Any]:
    """Every stage the recipe has; those that are done already are left alone. Returns the run's summary.

    Of several processes all train, and the main one does the rest.
    """
    watcher = watcher or Watcher()
    processes = processes or join_processes(recipe.model.device)
    if recipe.compare is not None:
        check_comparison(recipe.compare)
    summary = train_stage(recipe, watcher, processes)
    processes.leave()
    if not processes.is_main:
        return summary
    folder = RunFolder(recipe.output)
    if recipe.objective.reads == "scores":
        watcher.note("not compared: a reward model scores answers and gives none")
    elif recipe.compare is not None:
        _compare_if_due(recipe, recipe.compare, folder, watcher)
    if not _is_newer(folder.path / "findings.json", folder.path / "evaluation/comparison.json"):
        diagnose_stage(folder.path)
    if not _is_newer(folder.path / "report.html", folder.path / "findings.json"):
        watcher.note(f"report: {report_stage(folder.path)}")
    return summary


def resume_run(
    folder: Path,
    watcher: Watcher | None = None,
    processes: Processes | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Go on with a run that was stopped or killed, by the recipe in its folder.

    Raises:
        RecipeError: it is no run folder, or an override makes it another run.
    """
    held = RunFolder(folder).recipe_file
    if not held.is_file():
        raise RecipeError(
            "this is not a run folder", where=str(folder), next="name a folder that palate train made"
        )
    if any(override.partition("=")[0].strip() == "output" for override in overrides):
        raise RecipeError(
            "a run goes on in its own folder",
            where="override output",
            next=f"drop it; for a run of its own: palate run {held} output=...",
        )
    recipe = load_recipe(held, [*overrides, f"output={folder}"])
    return run_recipe(recipe, watcher, processes)


def train_stage(
    recipe: Recipe, watcher: Watcher | None = None, processes: Processes | None = None
) -> dict[str, Any]:
    """Train, unless this run has been trained; go on where it stopped. Returns its summary."""
    processes = processes or join_processes(recipe.model.device)
    watcher = watcher if watcher is not None and processes.is_main else Watcher()
    folder = RunFolder(recipe.output)
    refuse_missing_trackers(recipe.train.trackers)
    with folder.lock() if processes.is_main else nullcontext():
        if processes.is_main:
            folder.begin(recipe)
            if processes.size > 1:
                base_folder(recipe, watcher)  # made by one: transformers saves in the main process alone
        (done, *_) = processes.gather(processes.is_main and folder.is_done())
        if done:
            watcher.note(f"{folder.path} is trained already")
            _note_changed_data(recipe, folder, watcher)
            return folder.read("summary.json")
        train_records = open_source(recipe.data.train, recipe.data.system)
        held_out = recipe.data.eval
        eval_records = open_source(held_out, recipe.data.system) if held_out is not None else None
        base = base_folder(recipe, watcher)
        _audit(recipe, train_records, eval_records, folder, base, watcher, processes)
        tell = telling_diagnosis(folder.path, watcher)
        explained = diagnosed_if_it_fails(folder.path) if processes.is_main else nullcontext()
        with explained, processes.noticing_loss():
            summary = train(recipe, train_records, eval_records, folder, watcher, base, processes, tell)
        if processes.is_main:
            diagnose_stage(folder.path)
        return summary


def _audit(
    recipe: Recipe,
    train_records: RecordStream,
    eval_records: RecordStream | None,
    folder: RunFolder,
    base: Path | None,
    watcher: Watcher,
    processes: Processes,
) -> None:
    """The main process audits, and all of them stop where it has to."""
    refusal: PalateError | None = None
    if processes.is_main:
        try:
            audit_before_run(train_records, eval_records, recipe, folder, base, watcher)
        except PalateError as error:
            refusal = error
    refusal = processes.share(refusal)
    if refusal is not None:
        raise refusal


def _note_changed_data(recipe: Recipe, folder: RunFolder, watcher: Watcher) -> None:
    """A run that is done stays as it is; that its data have changed since is worth a word."""
    trained_on = folder.read("lineage.json")["data"] if folder.has("lineage.json") else {}
    for name, source in (("train", recipe.data.train), ("eval", recipe.data.eval)):
        before = trained_on.get(name, {}).get("sha256")
        if source is not None and before is not None and file_hash(source.source) not in (None, before):
            watcher.note(f"{source.source} has changed since; output=... names a folder to train on it anew")


def report_stage(folder: Path) -> Path:
    """Write the run's report.html."""
    return build_report(folder)


def _compare_if_due(recipe: Recipe, options: CompareOptions, folder: RunFolder, watcher: Watcher) -> None:
    """Compare, unless that was done with these options."""
    done = "evaluation/comparison.json"
    if folder.has(done) and folder.read(done).get("options") == options.model_dump():
        watcher.note(f"{folder.path} is compared already")
    elif prompts_of(recipe, options):
        compare_stage(recipe, options, watcher)
    else:
        watcher.note("not compared: no prompts were held out; compare.prompts=FILE names some")


def _is_newer(file: Path, *inputs: Path) -> bool:
    """Whether a file was made after those it is made from, as far as they are there."""
    if not file.is_file():
        return False
    return all(file.stat().st_mtime_ns >= i.stat().st_mtime_ns for i in inputs if i.is_file())
