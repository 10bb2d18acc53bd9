"""The stages of a run. Each reads the recipe, does its work, and leaves its files in the run folder.

Here names that only Palate knows (`playground`) become folders and files; the rooms below never see them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from palate.data import PairSet, read_pairs, read_prompts, split_by_prompt
from palate.errors import DataError, RecipeError
from palate.evaluate import Contestant, compare_models, held_out_accuracy
from palate.playground import held_out_prompts, model_folder, write_pairs
from palate.recipe import CompareOptions, ModelOptions, Recipe, SourceOptions, load_recipe
from palate.records import Messages
from palate.report import build_report
from palate.train import RunFolder, train
from palate.watcher import Watcher

__all__ = ["base_folder", "compare_command", "compare_stage", "report_stage", "run_recipe", "train_stage"]

PLAYGROUND = "playground"


def run_recipe(recipe: Recipe, watcher: Watcher | None = None) -> dict[str, Any]:
    """Every stage the recipe has; those that are done already are left alone. Returns the run's summary."""
    summary = train_stage(recipe, watcher)
    folder = RunFolder(recipe.output)
    if recipe.compare is not None and not folder.has("evaluation/comparison.json"):
        compare_stage(recipe, recipe.compare, watcher)
    report_stage(folder.path)
    return summary


def train_stage(recipe: Recipe, watcher: Watcher | None = None) -> dict[str, Any]:
    """Train, unless this run has been trained. Returns its summary."""
    watcher = watcher or Watcher()
    folder = RunFolder(recipe.output)
    folder.begin(recipe)
    if folder.is_done():
        watcher.note(f"{folder.path} is trained already; nothing to do")
        return folder.read("summary.json")
    train_pairs = _read(recipe.data.train, recipe.data.system)
    eval_pairs = _read(recipe.data.eval, recipe.data.system) if recipe.data.eval is not None else None
    watcher.note(_account_of(train_pairs))
    return train(recipe, train_pairs, eval_pairs, folder, watcher, base_folder(recipe, watcher))


def compare_stage(recipe: Recipe, options: CompareOptions, watcher: Watcher | None = None) -> dict[str, Any]:
    """Base and tuned model of a trained run answer its held-out prompts, or those of a file."""
    watcher = watcher or Watcher()
    folder = RunFolder(recipe.output)
    comparison = compare_models(
        Contestant("base", recipe.model.base, base_folder(recipe, watcher)),
        Contestant("tuned", str(folder.trained)),
        _prompts(recipe, options),
        options,
        model=recipe.model,
        template=recipe.data.template,
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
        recipe = load_recipe(_run_recipe_file(a), [f"output={a}"])
        own = (recipe.compare or CompareOptions()).model_dump()
        comparison = compare_stage(recipe, _compare_options(own | dict(changes)), watcher)
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
    if RunFolder(name).recipe_file.is_file():
        return Contestant(name, str(RunFolder(name).trained))
    return Contestant(name, name)


def report_stage(folder: Path) -> Path:
    """Write the run's report.html."""
    return build_report(folder)


def base_folder(recipe: Recipe, watcher: Watcher | None = None) -> Path | None:
    """Where the playground's model lies, trained now where it is not; None for every other base."""
    return playground_folder(watcher) if recipe.model.base == PLAYGROUND else None


def playground_folder(watcher: Watcher | None = None) -> Path:
    """The playground's base model, made on first use."""
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


def _read(source: SourceOptions, system: str | None) -> PairSet:
    if source.source != PLAYGROUND:
        return read_pairs(source, system=system)
    local = source.model_copy(update={"source": str(write_pairs())})
    return dataclasses.replace(read_pairs(local, system=system), source=PLAYGROUND)


def _prompts(recipe: Recipe, options: CompareOptions) -> Sequence[Messages]:
    """Prompts the run never trained on."""
    if options.prompts is not None:
        return read_prompts(options.prompts, system=recipe.data.system)[0]
    if recipe.data.train.source == PLAYGROUND:
        return held_out_prompts(options.num_prompts)
    if recipe.data.eval is not None:
        pairs = _read(recipe.data.eval, recipe.data.system).pairs
    else:
        pairs = split_by_prompt(
            _read(recipe.data.train, recipe.data.system).pairs, recipe.data.eval_fraction
        )[1]
    prompts = list(dict.fromkeys(pair.prompt for pair in pairs))
    if not prompts:
        raise DataError(
            "there are no held-out prompts to compare on",
            where="data.eval_fraction",
            next="hold some out, name data.eval, or name a file of prompts: compare.prompts=FILE",
        )
    return prompts


def _account_of(pairs: PairSet) -> str:
    return (
        f"{pairs.source}: {pairs.num_rows} rows, layout {pairs.layout}, "
        f"{len(pairs.pairs)} pairs kept, {len(pairs.set_aside)} rows set aside"
    )
