"""`palate demo`: the whole story on the playground, with no network, in minutes on two cores."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from palate.data import write_records
from palate.engine import Renderer, Sampling, load_trained
from palate.errors import RecipeError
from palate.generate.sampling import sample_candidates
from palate.judge import JudgedPairs, load_scorer, pairs_from_scores
from palate.pipeline.bases import PLAYGROUND, base_folder
from palate.pipeline.comparing import compare_stage
from palate.pipeline.diagnosing import diagnose_stage
from palate.pipeline.stages import report_stage, train_stage
from palate.playground import held_out_prompts, training_prompts
from palate.recipe import Recipe, load_recipe, parse_recipe
from palate.records import Answer
from palate.train import RunFolder
from palate.watcher import Watcher

__all__ = ["DemoResult", "run_demo"]

_NUM_PROMPTS = 150
_NUM_CANDIDATES = 6
_JUDGE = "palate.playground:preferred_style"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Where the demo left its run, and what it found."""

    folder: Path
    summary: dict[str, Any]
    comparison: dict[str, Any]
    report: Path


def run_demo(output: str = "runs/demo", *, seed: int = 0, watcher: Watcher | None = None) -> DemoResult:
    """Generate, judge, count, train, compare, report. An earlier demo in the same folder is replaced.

    Raises:
        RecipeError: the folder holds something other than a demo.
    """
    watcher = watcher or Watcher()
    recipe = _recipe(output, seed)
    _clear(Path(output))
    RunFolder(output).begin(recipe)
    watcher.note("1. Generate: the base model answers prompts, several times each")
    answers = _generate(recipe, watcher)
    watcher.note("2. Judge: a program prefers one of the model's two voices")
    judged = pairs_from_scores(answers, load_scorer(_JUDGE), _JUDGE)
    watcher.note(_account_of(judged))
    write_records(judged.pairs, Path(recipe.data.train.source))
    _write_held_out(recipe)
    watcher.note("3. Train: direct preference optimisation of a small adapter")
    summary = train_stage(recipe, watcher)
    watcher.note("4. Compare: base and tuned answer prompts that neither has seen")
    assert recipe.compare is not None
    comparison = compare_stage(recipe, recipe.compare, watcher)
    summary["preferred_share_before"] = comparison["figures"]["base"]["mean_score"]
    summary["preferred_share_after"] = comparison["figures"]["tuned"]["mean_score"]
    RunFolder(output).write("summary.json", summary)
    diagnose_stage(Path(output))
    return DemoResult(Path(output), summary, comparison, report_stage(Path(output)))


def _recipe(output: str, seed: int) -> Recipe:
    text = files("palate.pipeline").joinpath("demo.yaml").read_text(encoding="utf-8")
    overrides = [
        f"output={output}",
        f"data.train.source={Path(output) / 'data' / 'pairs.jsonl'}",
        f"compare.prompts={Path(output) / 'data' / 'held_out.jsonl'}",
        f"seed={seed}",
    ]
    return parse_recipe(text, overrides, where="the demo's recipe")


def _clear(folder: Path) -> None:
    """Make room for this demo. Only what an earlier demo left is removed."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not _is_demo(folder):
        raise RecipeError(
            "this folder holds something else than a demo",
            where=f"output = {folder}",
            next="name another folder: palate demo --output FOLDER",
        )
    shutil.rmtree(folder)


def _is_demo(folder: Path) -> bool:
    """Whether an earlier demo lies here, finished or stopped halfway."""
    try:
        recipe = load_recipe(folder / "recipe.yaml")
    except RecipeError:
        return False
    made = folder / "data" / "pairs.jsonl"
    return recipe.model.base == PLAYGROUND and Path(recipe.data.train.source).resolve() == made.resolve()


def _write_held_out(recipe: Recipe) -> None:
    """The prompts of the comparison, as a file, so that the run's recipe says all that it does."""
    assert recipe.compare is not None and recipe.compare.prompts is not None
    rows = [
        json.dumps({"prompt": [message.as_dict() for message in prompt]}, ensure_ascii=False) + "\n"
        for prompt in held_out_prompts(recipe.compare.num_prompts)
    ]
    Path(recipe.compare.prompts).write_text("".join(rows), encoding="utf-8")


def _generate(recipe: Recipe, watcher: Watcher) -> list[Answer]:
    policy = load_trained(recipe.model.base, recipe.model, folder=base_folder(recipe, watcher))
    renderer = Renderer(policy.tokenizer, recipe.data.template, policy.stop_ids())
    prompts = training_prompts(_NUM_PROMPTS, recipe.seed)
    assert not set(prompts) & set(held_out_prompts(64)), "a prompt of the comparison would be trained on"
    sampling = Sampling(max_new_tokens=64, temperature=1.0, seed=recipe.seed)
    return sample_candidates(policy, renderer, prompts, _NUM_CANDIDATES, sampling, watcher)


def _account_of(judged: JudgedPairs) -> str:
    counts = judged.counts
    return (
        f"{counts.num_answers} answers to {counts.num_prompts} prompts: {counts.num_pairs} pairs; set aside "
        f"{counts.num_duplicates} duplicate answers, {counts.num_ties} ties, "
        f"{counts.num_missing} without a score"
    )
