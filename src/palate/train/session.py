"""Building everything a training needs from a recipe, in the order in which it is needed; then the loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from palate.engine import LayoutProof, Policy, Reference, Renderer, load_policy, prove_layout, prove_scores
from palate.engine.reference import MovingReference, weights_hash
from palate.engine.sharding import shard
from palate.errors import DataError, RecipeError, TrainingError
from palate.objectives import objective_for
from palate.recipe import Recipe, TrainOptions
from palate.records import content_id
from palate.train.account import account_in_words, summarise, write_data_account, write_origins
from palate.train.batches import BatchPlan, RowCost, cut_into_rows, plan_batches
from palate.train.checkpoint import checkpoint_folder, publish
from palate.train.disk import require_room
from palate.train.encoding import Records, encode_data
from palate.train.example_set import ExampleSet
from palate.train.inputs import Source
from palate.train.loop import Trainer, run_steps
from palate.train.memory import row_cost
from palate.train.optimizer import build_optimizer
from palate.train.processes import Processes, join_processes
from palate.train.random_state import seed_everything
from palate.train.references import build_reference, fill_reference
from palate.train.resume import find_checkpoint, save, take_up
from palate.train.run_folder import RunFolder, recipe_fingerprint
from palate.train.token_table import NO_LABEL
from palate.train.trackers import Trackers, open_trackers, refuse_missing_trackers
from palate.train.zero import refuse_impossible_zero, start_zero
from palate.watcher import Watcher

__all__ = ["train"]

_Line = dict[str, Any]

# Small gradients vanish in float16 below 6e-8; this is where torch's own scaler begins.
_FIRST_FLOAT16_LOSS_SCALE = 2.0**16


def train(
    recipe: Recipe,
    train_records: Records,
    eval_records: Records | None,
    folder: RunFolder,
    watcher: Watcher | None = None,
    base_folder: Path | None = None,
    processes: Processes | None = None,
    on_line: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train as the recipe says and leave a run folder; returns its summary.

    A run that was stopped or killed goes on from its newest whole checkpoint. `base_folder` is where the base
    lies, for a name that neither the Hub nor the file system knows. `processes` are those it shares the work
    with; where absent, the ones a launcher started. `on_line` is given every line of metrics.jsonl once it is
    written, in the main process.

    Raises:
        CallError: the recipe, data or model cannot be used. TrainingError: numbers stopped being finite, or
        memory ended. ArtifactError: the disk is full, or what it resumes from is of another run.
        Interrupted: it was asked to stop, and has saved.
    """
    watcher = watcher or Watcher()
    processes = processes or join_processes(recipe.model.device)
    refuse_missing_trackers(recipe.train.trackers)
    if recipe.parallel == "deepspeed":
        refuse_impossible_zero(recipe, processes.size)
    started = time.perf_counter()
    seed_everything(recipe.seed + processes.rank)
    policy = _load(recipe, base_folder, processes, watcher)
    renderer = Renderer(policy.tokenizer, recipe.data.template, policy.stop_ids())
    train_set, eval_set = encode_data(recipe, train_records, eval_records, renderer, watcher)
    watcher.note(account_in_words(recipe.data.train.source, train_records, train_set))
    _note_one_sided_labels(train_set, watcher)
    checkpoint = _where_to_begin(folder, watcher) if processes.is_main else None
    if processes.is_main:
        write_data_account(folder, recipe, train_records, eval_records, train_set, eval_set)
        write_origins(recipe, policy, folder)
    plan = plan_batches(train_set.examples, recipe.train, recipe.seed)
    _refuse_what_cannot_go_well(recipe, policy, plan, eval_set, folder, processes)
    cost = row_cost(policy, recipe.train)
    proof = _prove(policy, plan, cost, recipe)
    watcher.note(proof.note)
    filling = time.perf_counter()
    reference = _reference(recipe, policy, proof, base_folder)
    if reference is not None:
        fill_reference(reference, plan, eval_set.examples, cost, processes, watcher)
    reference_seconds = time.perf_counter() - filling
    trackers = open_trackers(recipe, folder, watcher.note) if processes.is_main else Trackers()
    trainer = Trainer(
        source=Source(policy, reference, recipe.objective, proof.layout),
        objective=objective_for(recipe.objective),
        options=recipe.train,
        plan=plan,
        eval_examples=eval_set.examples,
        row_cost=cost,
        optimizer=build_optimizer(policy, recipe.train),
        folder=folder,
        watcher=watcher,
        on_line=trackers.log if on_line is None else _both(trackers.log, on_line),
        processes=processes,
        save=save,
        origins=_origins(recipe, policy, plan, eval_set),
    )
    if recipe.parallel == "deepspeed":
        trainer.zero = start_zero(policy, trainer.optimizer, recipe, processes.announce_forward)
        processes.serve_with(trainer.zero.idle)
    _train_from(trainer, processes.gather(checkpoint)[0], trackers)
    summary = summarise(trainer, proof, train_set, eval_set)
    summary |= _speed(trainer, reference_seconds, time.perf_counter() - started)
    if processes.is_main:
        _publish_best(trainer, summary)
    trackers.finish(summary)
    processes.wait()
    return summary


def _both(one: Callable[[_Line], None], other: Callable[[_Line], None]) -> Callable[[_Line], None]:
    def on_line(line: _Line) -> None:
        one(line)
        other(line)

    return on_line


def _load(recipe: Recipe, base_folder: Path | None, processes: Processes, watcher: Watcher) -> Policy:
    policy = load_policy(
        recipe.model,
        head=recipe.objective.reads,
        seed=recipe.seed,
        folder=base_folder,
        gradient_checkpointing=recipe.train.gradient_checkpointing,
    )
    for note in policy.notes:
        watcher.note(note)
    if recipe.parallel == "fsdp2":
        _divide(policy, processes)
    return policy


def _where_to_begin(folder: RunFolder, watcher: Watcher) -> Path | None:
    """The newest whole checkpoint; where there is none, nothing is left of what was there before."""
    checkpoint = find_checkpoint(folder.checkpoints, watcher.note)
    if checkpoint is None:
        folder.clear()
    return checkpoint


def _note_one_sided_labels(examples: ExampleSet, watcher: Watcher) -> None:
    labels = set(np.unique(examples.examples.column("desirable")).tolist())
    if len(labels) == 1 and labels != {NO_LABEL}:
        side = "desirable" if labels.pop() else "undesirable"
        watcher.note(f"every label is {side}: there is nothing to tell apart, and no accuracy to measure")


def _origins(recipe: Recipe, policy: Policy, plan: BatchPlan, eval_set: ExampleSet) -> dict[str, str]:
    """What a checkpoint of this run is of; each is named as a person would."""
    return {
        "the recipe": recipe_fingerprint(recipe),
        "the base model": weights_hash(policy.folder),
        "the adapter it starts from": policy.start_hash,
        "the training data": plan.fingerprint,
        "the held-out data": content_id(list(eval_set.examples.fingerprints())),
    }


def _refuse_what_cannot_go_well(
    recipe: Recipe,
    policy: Policy,
    plan: BatchPlan,
    eval_set: ExampleSet,
    folder: RunFolder,
    processes: Processes,
) -> None:
    """What can be told before the first step is told before it."""
    _refuse_idle_options(recipe, plan, eval_set)
    _refuse_different_starts(policy, plan, processes)
    if processes.is_main:
        require_room(folder, policy, recipe, plan, len(eval_set))


def _train_from(trainer: Trainer, checkpoint: Path | None, trackers: Trackers) -> None:
    """Train to the end, from a checkpoint where there is one."""
    if trainer.source.policy.compute_dtype == torch.float16:
        trainer.progress.loss_scale = _FIRST_FLOAT16_LOSS_SCALE
    if checkpoint is not None:
        take_up(trainer, checkpoint)
        trainer.watcher.note(f"resumed after step {trainer.progress.step} of {trainer.plan.num_steps}")
    trackers.start(trainer.progress.step)
    trainer.watcher.begin("training", trainer.plan.num_steps)
    try:
        run_steps(trainer)
    except SystemExit as error:
        trackers.finish()
        raise TrainingError(
            f"something in this training called exit({error.code})",
            where=str(trainer.folder.path),
            why=f"objective {trainer.asked.type} or another installed package ended the process",
            next="mend that package; palate resume goes on from the newest checkpoint",
        ) from None
    except BaseException:
        trackers.finish()
        raise
    finally:
        trainer.watcher.end()
        if trainer.source.reference is not None:
            trainer.source.reference.close()


def _speed(trainer: Trainer, reference_seconds: float, total_seconds: float) -> dict[str, float]:
    """What took how long; what the reference took counts against the pairs a second, loading does not."""
    return {
        "reference_seconds": reference_seconds,
        "total_seconds": total_seconds,
        "pairs_per_second": trainer.progress.num_examples / (trainer.progress.seconds + reference_seconds),
    }


def _publish_best(trainer: Trainer, summary: dict[str, Any]) -> None:
    """The weights of the best step where a person looks for them, and beside them the figures."""
    folder = trainer.folder
    best = checkpoint_folder(folder.checkpoints, summary["best_step"])
    publish(best, folder.adapter if trainer.source.policy.has_adapter else folder.model)
    folder.write("summary.json", summary)


def _refuse_different_starts(policy: Policy, plan: BatchPlan, processes: Processes) -> None:
    """Processes on several machines have files of their own, and nothing else would tell that they differ."""
    if processes.size == 1:
        return
    for what, mine in (("training data", plan.fingerprint), ("base model", weights_hash(policy.folder))):
        starts = processes.gather(mine)
        if differing := [str(rank) for rank, start in enumerate(starts) if start != starts[0]]:
            raise DataError(
                f"the processes do not have the same {what}",
                where=f"process {', '.join(differing)}",
                why="it differs from what process 0 has",
                next="give every machine the same files",
            )


def _divide(policy: Policy, processes: Processes) -> None:
    """Give each process a part of the model, and let those without rows serve the passes of the others."""
    if processes.size == 1:
        raise RecipeError(
            "one process alone has no one to divide the model with",
            where="parallel = fsdp2",
            next="start several, with --num-processes or torchrun, or set parallel=ddp",
        )
    shard(policy, processes.announce_forward)
    if policy.sharding is not None:
        processes.serve_with(partial(policy.sharding.idle, policy))


def _refuse_idle_options(recipe: Recipe, plan: BatchPlan, eval_set: ExampleSet) -> None:
    """What a recipe cannot know before its data are read."""
    if not eval_set.examples:
        for name in ("evaluate_every", "best_metric", "early_stopping"):
            if getattr(recipe.train, name) != TrainOptions.model_fields[name].default:
                raise RecipeError(
                    f"train.{name} has no effect: nothing is held out of these data",
                    where=recipe.data.train.source,
                    why="they have one prompt, or the rows of the held-out ones cannot be used",
                    next=f"name held-out rows with data.eval, or drop train.{name}",
                )
    sync_every = recipe.reference.sync_every
    if sync_every is not None and sync_every > plan.num_steps:
        raise RecipeError(
            f"reference.sync_every = {sync_every} has no effect: the run has {plan.num_steps} steps",
            where="reference.sync_every",
            next="lower it, or train for longer",
        )


def _prove(policy: Policy, plan: BatchPlan, cost: RowCost, recipe: Recipe) -> LayoutProof:
    """The first row of the first batch, both ways."""
    first = plan.batch(0)
    row = cut_into_rows([example.branches for example in first], cost)[0]
    branches = [branch for i in row for branch in first[i].branches]
    prove = prove_scores if recipe.objective.reads == "scores" else prove_layout
    return prove(policy, branches, recipe.train.layout)


def _reference(
    recipe: Recipe, policy: Policy, proof: LayoutProof, base_folder: Path | None
) -> Reference | MovingReference | None:
    if not recipe.objective.needs_reference:
        return None
    other = recipe.reference.model
    folder = base_folder if other == recipe.model.base else None
    return build_reference(policy, recipe.reference, recipe.model, proof.layout, folder)
