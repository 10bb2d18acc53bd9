"""Comparing from end to end: models, prompts and judges by their names, answers, verdicts, and the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palate.asking import Asker, Endpoint, ResponseStore, default_store_path
from palate.data import read_prompts
from palate.durable import refuse_closed_folder
from palate.errors import DataError, RecipeError, WorkError
from palate.evaluate.compare import Judging, compare_models, held_out_accuracy
from palate.evaluate.contestants import Contestant
from palate.evaluate.pair_accuracy import HeldOutPairs
from palate.evaluate.without_judge import check_comparison_benchmarks
from palate.generate.local import LocalModel
from palate.judge import load_scorer
from palate.judge.rubric import load_rubric
from palate.judge.specs import JudgeSpec
from palate.pipeline.bases import PLAYGROUND, base_folder, playground_folder
from palate.pipeline.cast_votes import read_cast_votes, rows_without_votes
from palate.pipeline.comparison_options import compare_options, judge_specs, run_recipe_file
from palate.pipeline.contest_judging import judging_of, judging_of_votes
from palate.pipeline.diagnosing import diagnose_stage
from palate.pipeline.judges import DEFAULT_BATCH_SIZE, AskerOf, build_judge
from palate.pipeline.preferences import held_out_pairs, read_pairs_file
from palate.pipeline.unasked import unasked_prompts
from palate.pipeline.wanted_texts import read_neutral_texts, read_target
from palate.playground import held_out_prompts
from palate.playground.neutral import neutral_texts
from palate.recipe import CompareOptions, ModelOptions, Recipe, load_recipe
from palate.records import Messages, Vote, as_messages
from palate.report import build_report
from palate.train import RunFolder
from palate.watcher import Watcher

__all__ = [
    "Asking",
    "check_comparison",
    "compare_command",
    "compare_stage",
    "prompts_of",
    "shortfall_of_comparison",
]

COMPARISON = "evaluation/comparison.json"


@dataclass(frozen=True, slots=True)
class Asking:
    """How models are asked: the ones compared, and language models that judge."""

    store: ResponseStore
    """Where all answers are kept."""
    asker_of: AskerOf
    """Who asks a language model for its verdicts."""
    batch_size: int | None = None
    """What a local model answers, scores or weighs at once."""


@contextmanager
def _plain_asking(watcher: Watcher) -> Iterator[Asking]:
    """Without limits or prices, as a recipe asks."""
    with ResponseStore(default_store_path()) as store:
        made: dict[tuple[str | None, str | None], Asker] = {}

        def asker_of(spec: JudgeSpec) -> Asker:
            assert spec.model is not None
            key = (spec.base_url, spec.api_key_env if spec.base_url is not None else spec.model)
            if key not in made:
                made[key] = _asker(spec, store, watcher)
            return made[key]

        yield Asking(store, asker_of)


def _asker(spec: JudgeSpec, store: ResponseStore, watcher: Watcher) -> Asker:
    assert spec.model is not None
    if spec.base_url is not None:
        if spec.api_key_env is None:
            return Endpoint(spec.base_url, store=store)
        return Endpoint(spec.base_url, store=store, api_key_env=spec.api_key_env)
    folder = playground_folder(watcher) if spec.model == PLAYGROUND else None
    return LocalModel(spec.model, store=store, folder=folder)


def compare_stage(
    recipe: Recipe, options: CompareOptions, watcher: Watcher | None = None, asking: Asking | None = None
) -> dict[str, Any]:
    """Base and tuned model of a trained run answer its held-out prompts, or those of a file.

    Raises:
        ArtifactError: the run has no trained model. Otherwise as `compare_models` and judging raise.
    """
    watcher = watcher or Watcher()
    folder = RunFolder(recipe.output)
    comparison = _compare(
        [
            Contestant(
                recipe.model.base, recipe.model.base, base_folder(recipe, watcher), recipe.data.template
            ),
            Contestant("tuned", str(folder.trained), template=recipe.data.template),
        ],
        prompts_of(recipe, options),
        held_out_pairs(options, {folder.path.name: recipe}, recipe.data.system),
        options,
        folder.path,
        recipe.model,
        recipe.seed,
        watcher,
        asking,
    )
    if folder.has("evaluation/held_out.json"):
        comparison["held_out"] = held_out_accuracy(folder.read("evaluation/held_out.json")["pairs"])
    folder.write(COMPARISON, comparison)
    return comparison


def compare_command(
    models: Sequence[str],
    changes: Mapping[str, Any],
    output: Path | None = None,
    watcher: Watcher | None = None,
    asking: Asking | None = None,
    *,
    seed: int | None = None,
) -> dict[str, Any]:
    """`palate compare`: a run's base against its result, or any models on a file of prompts.

    Args:
        models: one run folder; or two models or more, the baseline first.
        changes: compare options laid over the run's own, or over the defaults.
        output: of several models, the folder that evaluation/comparison.json goes into; the current one where
            absent.
        asking: how models are asked; without limits where absent.
        seed: of samples and of whatever else is drawn; the run's own, or 0 of several models, where absent.

    Raises:
        RecipeError: the call is wrong. Otherwise as `compare_stage`.
    """
    options = compare_options(models, changes, output)
    if len(models) == 1:
        changed = [f"output={models[0]}", *([] if seed is None else [f"seed={seed}"])]
        recipe = load_recipe(run_recipe_file(models[0]), changed)
        if "prompts" not in changes:
            _check_prompts_of_recipe(options, models[0])
        comparison = compare_stage(recipe, options, watcher, asking)
        diagnose_stage(Path(models[0]))
        build_report(Path(models[0]))
        return comparison
    watcher = watcher or Watcher()
    folder = RunFolder(output or Path())
    pairs = held_out_pairs(options, _runs_among(models))
    comparison = _compare(
        [_contestant(name, watcher) for name in models],
        _prompts_for_several(options, pairs),
        pairs,
        options,
        folder.path,
        ModelOptions(),
        seed or 0,
        watcher,
        asking,
    )
    folder.write(COMPARISON, comparison)
    return comparison


def _check_prompts_of_recipe(options: CompareOptions, run: str) -> None:
    """Who copied a run, or is elsewhere, never typed the path that is not there."""
    if options.prompts is not None and not Path(options.prompts).exists():
        raise DataError(
            "no such file",
            where=options.prompts,
            why=f"compare.prompts in the recipe of {run} names it, as seen from where that run was started",
            next="name the file as it is seen from here: --prompts FILE",
        )


def _prompts_for_several(options: CompareOptions, pairs: HeldOutPairs | None) -> Sequence[Messages]:
    """Those of the file, or those of the pairs."""
    if options.prompts is not None:
        return read_prompts(options.prompts)[0]
    if pairs is None:
        raise RecipeError(
            "there is nothing to ask the models",
            where="palate compare A B",
            next="name a file of prompts, or of pairs: --prompts FILE, --pairs FILE",
        )
    return list(dict.fromkeys(pair.prompt for pair in pairs.pairs))


def check_comparison(options: CompareOptions) -> None:
    """What can be found wrong with a comparison before hours of training."""
    for spec in judge_specs(options):
        if spec.scorer is not None:
            load_scorer(spec.scorer)
        if spec.rubric is not None:
            load_rubric(spec.rubric)
    if options.prompts is not None:
        read_prompts(options.prompts)
    if options.pairs is not None:
        read_pairs_file(options)
    if options.votes is not None:
        read_cast_votes(options.votes)
    if options.style is not None:
        read_target(options.style)
    if options.neutral_text is not None:
        read_neutral_texts(options.neutral_text)
    check_comparison_benchmarks(options)


def shortfall_of_comparison(comparison: Mapping[str, Any]) -> WorkError | None:
    """Why what came out is less than what was asked for; None where it is not."""
    measured = comparison.get("benchmarks")
    if measured is not None and not measured["tasks"]:
        return WorkError(measured["sentence"], where="--benchmarks")
    accuracy = comparison.get("pair_accuracy")
    if accuracy is not None and not accuracy["models"]:
        return WorkError(accuracy["sentence"], where="--pairs")
    if comparison["judge"] is None:
        return None
    card = comparison["judge_card"] or {}
    if card.get("withheld_because"):
        return WorkError(
            card["withheld_because"],
            where="evaluation/judge_card.json",
            next="take another judge or rubric; --force counts its verdicts in spite of it",
        )
    if num_not_asked := card.get("missing_reasons", {}).get("not_asked", 0):
        return WorkError(
            f"{num_not_asked:,} of {card['num_asked']:,} verdicts were never asked for",
            where="evaluation/verdicts.jsonl",
            next="the same command again asks for these, and for nothing that was answered",
        )
    if all(row["win_rate"] is None for row in comparison["win_rates"]):
        return WorkError(
            f"{comparison['judge']} gave no verdict on any answer", why="; ".join(comparison["warnings"][:1])
        )
    return None


def prompts_of(recipe: Recipe, options: CompareOptions) -> Sequence[Messages]:
    """Prompts the run never trained on: a file's, the playground's, or those the run held out."""
    if options.prompts is not None:
        return read_prompts(options.prompts, system=recipe.data.system)[0]
    if recipe.data.train.source == PLAYGROUND:
        return held_out_prompts(options.num_prompts)
    held_out = RunFolder(recipe.output).read("evaluation/prompts.json")["prompts"]
    return [as_messages(prompt) for prompt in held_out]


def _compare(
    contestants: Sequence[Contestant],
    prompts: Sequence[Messages],
    pairs: HeldOutPairs | None,
    options: CompareOptions,
    folder: Path,
    model: ModelOptions,
    seed: int,
    watcher: Watcher,
    asking: Asking | None,
) -> dict[str, Any]:
    """Whatever can be wrong with judges, votes, style and benchmarks is found before a model is loaded."""
    if asking is None:
        with _plain_asking(watcher) as plain:
            return _compare(contestants, prompts, pairs, options, folder, model, seed, watcher, plain)
    votes = read_cast_votes(options.votes) if options.votes is not None else ()
    check_comparison_benchmarks(options)
    target, of_target = read_target(options.style) if options.style is not None else (None, [])
    neutral, of_neutral = _neutral_texts(contestants, options)
    specs = judge_specs(options)
    judging = _judging(options, specs, votes, asking, folder, seed, watcher)
    refuse_closed_folder(folder / "evaluation")  # found before anything is paid for
    comparison = compare_models(
        contestants,
        prompts,
        options,
        store=asking.store,
        model=model,
        judging=judging,
        votes=votes if specs else (),
        style_target=target,
        neutral_texts=neutral,
        pairs=pairs,
        kept=folder / "evaluation" / "measured.json",
        batch_size=asking.batch_size,
        seed=seed,
        watcher=watcher,
    )
    comparison["seed"] = seed
    of_votes = rows_without_votes(options.votes) if options.votes is not None else []
    comparison["warnings"] += [*of_target, *of_neutral, *of_votes, *unasked_prompts(options)]
    return comparison


def _neutral_texts(
    contestants: Sequence[Contestant], options: CompareOptions
) -> tuple[Sequence[str], Sequence[str]]:
    """A file's or a folder's, and in words what was not read; the playground has its own."""
    if options.neutral_text is not None:
        return read_neutral_texts(options.neutral_text)
    return (neutral_texts() if options.drift and contestants[0].source == PLAYGROUND else ()), ()


def _judging(
    options: CompareOptions,
    specs: Sequence[JudgeSpec],
    votes: Sequence[Vote],
    asking: Asking,
    folder: Path,
    seed: int,
    watcher: Watcher,
) -> Judging | None:
    if not specs:
        return judging_of_votes(votes, str(options.votes)) if options.votes is not None else None
    judge = build_judge(
        specs,
        asking.asker_of,
        batch_size=asking.batch_size or DEFAULT_BATCH_SIZE,
        seed=seed,
        watcher=watcher,
    )
    kind = "jury" if len(specs) > 1 else specs[0].kind
    return judging_of(
        judge, kind, votes, folder / "evaluation" / "verdicts.jsonl", options, seed=seed, watcher=watcher
    )


def _runs_among(models: Sequence[str]) -> dict[str, Recipe]:
    """The recipes of those that are run folders."""
    files = {name: RunFolder(name).recipe_file for name in models if name != PLAYGROUND}
    return {name: load_recipe(file, [f"output={name}"]) for name, file in files.items() if file.is_file()}


def _contestant(name: str, watcher: Watcher) -> Contestant:
    """A model by any of its names."""
    if name == PLAYGROUND:
        return Contestant(name, name, playground_folder(watcher))
    run = RunFolder(name)
    if run.recipe_file.is_file():
        return Contestant(name, str(run.trained), template=load_recipe(run.recipe_file).data.template)
    return Contestant(name, name)
