"""The stages of a run. Each reads the recipe, does its work, and leaves its files in the run folder.

Here names that only Palate knows (`playground`) become folders and files; the rooms below never see them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from palate.data import RecordStream, read_prompts, stream_records
from palate.errors import PalateError, RecipeError
from palate.evaluate import Contestant, compare_models, held_out_accuracy
from palate.judge import load_scorer
from palate.pipeline.auditing import audit_before_run
from palate.pipeline.diagnosing import diagnose_stage, telling_diagnosis
from palate.playground import held_out_prompts, model_folder, write_pairs
from palate.recipe import CompareOptions, ModelOptions, Recipe, SourceOptions, load_recipe
from palate.records import Messages, as_messages
from palate.report import build_report
from palate.train import Processes, RunFolder, file_hash, join_processes, train
from palate.train.trackers import refuse_missing_trackers
from palate.watcher import Watcher

__all__ = [
    "base_folder",
    "compare_command",
    "compare_stage",
    "report_stage",
    "resume_run",
    "run_recipe",
    "train_stage",
]

PLAYGROUND = "playground"


def run_recipe(
    recipe: Recipe, watcher: Watcher | None = None, processes: Processes | None = None
) -> dict[str, Any]:
    """Every stage the recipe has; those that are done already are left alone. Returns the run's summary.

    Of several processes all train, and the main one does the rest.
    """
    watcher = watcher or Watcher()
    processes = processes or join_processes(recipe.model.device)
    if recipe.compare is not None:
        _check(recipe.compare)
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
        RecipeError: an override makes it another run.
    """
    recipe = load_recipe(_run_recipe_file(str(folder)), [*overrides, f"output={folder}"])
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
        with processes.noticing_loss():
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


def compare_stage(recipe: Recipe, options: CompareOptions, watcher: Watcher | None = None) -> dict[str, Any]:
    """Base and tuned model of a trained run answer its held-out prompts, or those of a file."""
    watcher = watcher or Watcher()
    folder = RunFolder(recipe.output)
    comparison = compare_models(
        Contestant("base", recipe.model.base, base_folder(recipe, watcher), recipe.data.template),
        Contestant("tuned", str(folder.trained), template=recipe.data.template),
        _prompts(recipe, options),
        options,
        model=recipe.model,
        seed=recipe.seed,
        watcher=watcher,
    )
    comparison["base"] = recipe.model.base
    if folder.has("evaluation/held_out.json"):
        comparison["held_out"] = held_out_accuracy(folder.read("evaluation/held_out.json")["pairs"])
    folder.write("evaluation/comparison.json", comparison)
    return comparison


def compare_command(
    a: str, b: str | None, changes: Mapping[str, Any], output: Path | None, watcher: Watcher | None = None
) -> dict[str, Any]:
    """`palate compare`: a run's base against its result, or any two models on a file of prompts.

    `changes` are compare options laid over the run's own, or over the defaults.
    """
    if b is None:
        if output is not None:
            raise RecipeError(
                "--output has no effect with one run: its comparison goes into the run folder",
                where="palate compare RUN",
                next="drop --output",
            )
        recipe = load_recipe(_run_recipe_file(a), [f"output={a}"])
        own = (recipe.compare or CompareOptions()).model_dump()
        comparison = compare_stage(recipe, _compare_options(own | dict(changes)), watcher)
        diagnose_stage(Path(a))
        report_stage(Path(a))
        return comparison
    options = _compare_options(changes)
    if options.prompts is None:
        raise RecipeError(
            "there is nothing to ask two models",
            where="palate compare A B",
            next="name a file: --prompts FILE",
        )
    comparison = compare_models(
        _contestant(a, watcher),
        _contestant(b, watcher),
        read_prompts(options.prompts)[0],
        options,
        model=ModelOptions(),
        watcher=watcher,
    )
    RunFolder(output or Path()).write("evaluation/comparison.json", comparison)
    return comparison


def _compare_options(values: Mapping[str, Any]) -> CompareOptions:
    try:
        return CompareOptions.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = "--" + str(first["loc"][0]).replace("_", "-") if first["loc"] else "palate compare"
        raise RecipeError(first["msg"].removeprefix("Value error, "), where=where) from None


def _run_recipe_file(run: str) -> Path:
    file = RunFolder(run).recipe_file
    if not file.is_file():
        raise RecipeError(
            "this is not a run folder",
            where=run,
            next="name a folder that palate train made, or two models and --prompts FILE",
        )
    return file


def _contestant(name: str, watcher: Watcher | None) -> Contestant:
    """A model by any of its names."""
    if name == PLAYGROUND:
        return Contestant(name, name, playground_folder(watcher))
    run = RunFolder(name)
    if run.recipe_file.is_file():
        return Contestant(name, str(run.trained), template=load_recipe(run.recipe_file).data.template)
    return Contestant(name, name)


def report_stage(folder: Path) -> Path:
    """Write the run's report.html."""
    return build_report(folder)


def base_folder(recipe: Recipe, watcher: Watcher | None = None) -> Path | None:
    """Where the playground's model lies, trained now where it is not; None for every other base."""
    return playground_folder(watcher) if recipe.model.base == PLAYGROUND else None


def playground_folder(watcher: Watcher | None = None) -> Path:
    """The playground's base model, made on first use.

    Sets torch to one thread: the matrices are so small that a second one only waits for the first, and
    where other programs run besides, waits cost many times the work.
    """
    torch.set_num_threads(1)
    watcher = watcher or Watcher()
    begun = False

    def on_progress(step: int, num_steps: int, loss: float) -> None:
        nonlocal begun
        if not begun:
            watcher.begin("making the playground's base model, once on this machine", num_steps)
            begun = True
        watcher.advance(step, f"loss {loss:.3f}")

    try:
        return model_folder(on_progress)
    finally:
        if begun:
            watcher.end()


def open_source(source: SourceOptions, system: str | None) -> RecordStream:
    """The rows a recipe names, read one at a time: a million of them need no more memory than a few."""
    if source.source != PLAYGROUND:
        return stream_records(source, system=system)
    local = source.model_copy(update={"source": str(write_pairs())})
    return stream_records(local, system=system, name=PLAYGROUND)


def _check(options: CompareOptions) -> None:
    """What can be found wrong with a comparison before hours of training."""
    if options.judge is not None:
        load_scorer(options.judge)
    if options.prompts is not None:
        read_prompts(options.prompts)


def _compare_if_due(recipe: Recipe, options: CompareOptions, folder: RunFolder, watcher: Watcher) -> None:
    """Compare, unless that was done with these options."""
    done = "evaluation/comparison.json"
    if folder.has(done) and folder.read(done).get("options") == options.model_dump():
        watcher.note(f"{folder.path} is compared already")
    elif _prompts(recipe, options):
        compare_stage(recipe, options, watcher)
    else:
        watcher.note("not compared: no prompts were held out; compare.prompts=FILE names some")


def _is_newer(file: Path, *inputs: Path) -> bool:
    """Whether a file was made after those it is made from, as far as they are there."""
    if not file.is_file():
        return False
    return all(file.stat().st_mtime_ns >= i.stat().st_mtime_ns for i in inputs if i.is_file())


def _prompts(recipe: Recipe, options: CompareOptions) -> Sequence[Messages]:
    """Prompts the run never trained on: a file's, the playground's, or those the run held out."""
    if options.prompts is not None:
        return read_prompts(options.prompts, system=recipe.data.system)[0]
    if recipe.data.train.source == PLAYGROUND:
        return held_out_prompts(options.num_prompts)
    held_out = RunFolder(recipe.output).read("evaluation/prompts.json")["prompts"]
    return [as_messages(prompt) for prompt in held_out]
