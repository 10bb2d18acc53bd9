"""Building everything a training needs from a recipe, in the order in which it is needed; then the loop."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from palate.data import RecordSet, records_as, split_by_prompt
from palate.engine import Branch, LayoutProof, Policy, Reference, Renderer, load_policy, prove_layout
from palate.engine.reference import weights_hash
from palate.errors import DataError
from palate.objectives import objective_for
from palate.recipe import Recipe
from palate.records import SetAside
from palate.train.batches import BatchPlan, RowCost, cut_into_rows, plan_batches
from palate.train.checkpoint import publish_best
from palate.train.environment import environment, file_hash
from palate.train.examples import Example, ExampleSet, encode_pairs
from palate.train.loop import Trainer, run_steps
from palate.train.memory import peak_memory_bytes, row_cost
from palate.train.optimizer import build_optimizer
from palate.train.run_folder import RunFolder
from palate.watcher import Watcher

__all__ = ["train"]


def train(
    recipe: Recipe,
    train_pairs: RecordSet,
    eval_pairs: RecordSet | None,
    folder: RunFolder,
    watcher: Watcher | None = None,
    base_folder: Path | None = None,
) -> dict[str, Any]:
    """Train as the recipe says and leave a run folder; returns its summary.

    `base_folder` is where the base lies, for a name that neither the Hub nor the file system knows.

    Raises:
        CallError: the recipe, data or model cannot be used. TrainingError: numbers stopped being finite.
    """
    watcher = watcher or Watcher()
    started = time.perf_counter()
    _seed_everything(recipe.seed)
    policy = load_policy(recipe.model, seed=recipe.seed, folder=base_folder)
    renderer = Renderer(policy.tokenizer, recipe.data.template, policy.stop_ids())
    train_set, eval_set = _encode(recipe, train_pairs, eval_pairs, renderer)
    folder.clear()
    _write_data_account(folder, train_pairs, eval_pairs, train_set, eval_set)
    plan = plan_batches(train_set.examples, recipe.train, recipe.seed)
    cost = row_cost(policy, recipe.train)
    proof = _prove(policy, plan, cost, recipe)
    watcher.note(proof.note)
    reference, reference_seconds = None, 0.0
    if recipe.objective.needs_reference:
        filling = time.perf_counter()
        reference = _fill_reference(policy, plan, eval_set.examples, cost, proof, watcher)
        reference_seconds = time.perf_counter() - filling
    _write_origins(recipe, policy, folder, train_pairs, eval_pairs)
    trainer = Trainer(
        policy=policy,
        reference=reference,
        objective=objective_for(recipe.objective),
        objective_options=recipe.objective,
        options=recipe.train,
        plan=plan,
        eval_examples=eval_set.examples,
        layout=proof.layout,
        row_cost=cost,
        optimizer=build_optimizer(policy, recipe.train),
        folder=folder,
        watcher=watcher,
    )
    watcher.begin("training", plan.num_steps)
    try:
        run_steps(trainer)
    finally:
        watcher.end()
        if reference is not None:
            reference.close()
    best_step = trainer.best.step or plan.num_steps
    publish_best(folder.checkpoints, best_step, folder.adapter if policy.has_adapter else folder.model)
    summary = _summary(trainer, proof, train_pairs, eval_pairs, train_set, eval_set)
    summary["best_step"] = best_step
    summary["reference_seconds"] = reference_seconds
    summary["total_seconds"] = time.perf_counter() - started
    summary["pairs_per_second"] = trainer.num_pairs / (trainer.seconds + reference_seconds)
    folder.write("summary.json", summary)
    return summary


def _encode(
    recipe: Recipe, train_pairs: RecordSet, eval_pairs: RecordSet | None, renderer: Renderer
) -> tuple[ExampleSet, ExampleSet]:
    pairs = records_as(train_pairs.records, "pairs", where=train_pairs.source)
    if eval_pairs is None:
        to_train, to_eval = map(list, split_by_prompt(pairs, recipe.data.eval_fraction))
    else:
        to_train, to_eval = pairs, records_as(eval_pairs.records, "pairs", where=eval_pairs.source)
    train_set = encode_pairs(to_train, renderer, recipe.data)
    eval_set = encode_pairs(to_eval, renderer, recipe.data)
    _refuse_none_left(train_pairs, train_set, "train")
    if eval_pairs is not None:
        trained_on = {example.prompt_id for example in train_set.examples}
        eval_set.set_aside_prompts(trained_on, "not held out: its prompt is trained on")
        _refuse_none_left(eval_pairs, eval_set, "evaluate")
    return train_set, eval_set


def _refuse_none_left(pairs: RecordSet, encoded: ExampleSet, use: str) -> None:
    if encoded.examples:
        return
    reasons = Counter(aside.reason for aside in (*pairs.set_aside, *encoded.set_aside))
    raise DataError(
        f"no pair is left to {use} on",
        where=pairs.source,
        why="; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3)),
        next="palate data inspect shows the rows; data.max_length bounds how long one may be",
    )


def _prove(policy: Policy, plan: BatchPlan, cost: RowCost, recipe: Recipe) -> LayoutProof:
    """The first row of the first batch, both ways."""
    first = plan.batch(0)
    units = [(example.chosen, example.rejected) for example in first]
    row = cut_into_rows(units, cost)[0]
    return prove_layout(policy, [branch for i in row for branch in units[i]], recipe.train.layout)


def _fill_reference(
    policy: Policy,
    plan: BatchPlan,
    eval_examples: Sequence[Example],
    cost: RowCost,
    proof: LayoutProof,
    watcher: Watcher,
) -> Reference:
    """Every completion the run will meet, each once.

    The first step's rows come first and just as the policy will compute them, so that step 0 compares two
    equal computations to the last bit. The rest is taken by prompt, where most is shared.
    """
    share = proof.layout == "tree"
    first = [_sides(example) for example in plan.batch(0)]
    # As the loop lays them out: all chosen sides of a row, then all rejected.
    batches: list[list[Branch]] = [
        [first[i][side] for side in (0, 1) for i in row] for row in cut_into_rows(first, cost, share=share)
    ]
    distinct = {branch.key: branch for example in (*plan.pool, *eval_examples) for branch in _sides(example)}
    singles = [(branch,) for branch in distinct.values()]
    rows = cut_into_rows(singles, cost, share=share)
    batches += [[branch for i in row for branch in singles[i]] for row in rows]
    reference = Reference(policy, proof.layout)
    watcher.begin("reference log-probabilities", len(batches))
    try:
        reference.fill(batches, on_batch=lambda done, total: watcher.advance(done))
    finally:
        watcher.end()
    watcher.note(
        f"reference: {reference.num_computed} completions computed, {reference.num_cached} found in the cache"
    )
    return reference


def _sides(example: Example) -> tuple[Branch, Branch]:
    return example.chosen, example.rejected


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _write_data_account(
    folder: RunFolder,
    train_pairs: RecordSet,
    eval_pairs: RecordSet | None,
    train_set: ExampleSet,
    eval_set: ExampleSet,
) -> None:
    held_out = None
    if eval_pairs is not None:
        held_out = _account(eval_pairs, eval_set, eval_pairs.set_aside)
    elif eval_set.examples:
        held_out = {
            "source": f"held out of {train_pairs.source} by prompt",
            "layout": train_pairs.layout,
            "num_prompts": len({example.prompt_id for example in eval_set.examples}),
            "num_pairs": len(eval_set),
            "num_too_long": eval_set.num_too_long,
            "num_boundary_merges": eval_set.num_boundary_merges,
        }
    # Rows held out of the training file that could not be used are rows of that file.
    also = () if eval_pairs is not None else eval_set.set_aside
    account = _account(train_pairs, train_set, (*train_pairs.set_aside, *also))
    account["num_kept"] = account["num_rows"] - account["num_set_aside"]
    folder.write("data.json", {"train": account, "eval": held_out})
    # What the models are compared on: kept here, for the data may have changed or moved by then.
    prompts = dict.fromkeys(example.pair.prompt for example in eval_set.examples)
    as_dicts = [[message.as_dict() for message in prompt] for prompt in prompts]
    folder.write("evaluation/prompts.json", {"prompts": as_dicts})


def _account(pairs: RecordSet, encoded: ExampleSet, set_aside: Sequence[SetAside]) -> dict[str, Any]:
    every = (*set_aside, *encoded.set_aside)
    reasons = Counter(aside.reason for aside in every)
    return {
        "source": pairs.source,
        "layout": pairs.layout,
        "num_rows": pairs.num_rows,
        "num_kept": pairs.num_rows - len(every),
        "num_set_aside": len(every),
        "set_aside": [
            {
                "reason": reason,
                "count": count,
                "examples": [aside.place for aside in every if aside.reason == reason][:5],
            }
            for reason, count in reasons.most_common()
        ],
        "num_prompts": len({example.prompt_id for example in encoded.examples}),
        "num_pairs": len(encoded),
        "num_too_long": encoded.num_too_long,
        "num_truncated": encoded.num_truncated,
        "num_boundary_merges": encoded.num_boundary_merges,
    }


def _write_origins(
    recipe: Recipe, policy: Policy, folder: RunFolder, train_pairs: RecordSet, eval_pairs: RecordSet | None
) -> None:
    folder.write("environment.json", environment(policy.device))
    data = {
        name: {"source": pairs.source, "sha256": file_hash(pairs.source)}
        for name, pairs in (("train", train_pairs), ("eval", eval_pairs))
        if pairs is not None
    }
    base = {
        "name": recipe.model.base,
        "revision": recipe.model.revision,
        "content_hash": weights_hash(policy.folder),
        "dtype": str(policy.compute_dtype).removeprefix("torch."),
        "attention": policy.attention,
    }
    folder.write("lineage.json", {"base": base, "template": recipe.data.template, "data": data})


def _summary(
    trainer: Trainer,
    proof: LayoutProof,
    train_pairs: RecordSet,
    eval_pairs: RecordSet | None,
    train_set: ExampleSet,
    eval_set: ExampleSet,
) -> dict[str, Any]:
    best = trainer.best.figures
    set_aside = len(train_pairs.set_aside) + len(train_set.set_aside) + len(eval_set.set_aside)
    set_aside += len(eval_pairs.set_aside) if eval_pairs is not None else 0
    reference = trainer.reference
    return {
        "status": "done",
        "objective": trainer.objective_options.type,
        "num_pairs_train": len(train_set),
        "num_pairs_eval": len(eval_set),
        "num_rows_set_aside": set_aside,
        "num_steps": trainer.plan.num_steps,
        "num_reference_completions_computed": reference.num_computed if reference is not None else 0,
        "num_reference_completions_cached": reference.num_cached if reference is not None else 0,
        "sharing_factor": trainer.tokens_represented / trainer.tokens_computed,
        "peak_memory_bytes": peak_memory_bytes(trainer.policy.device),
        "layout": proof.layout,
        "tree_check_max_abs_difference": proof.max_abs_difference,
        "train_seconds": trainer.seconds,
        "eval": {
            "loss": best["loss"],
            "reward_accuracy": best["rewards_accuracy"],
            "reward_margin": best["rewards_margin"],
        }
        if best
        else None,
    }
