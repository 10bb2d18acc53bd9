"""What a run will do, take and leave behind, known before it begins.

The data are read and written out as tokens as the run does it, so steps and tokens are exact. The model is
built without its weights (`engine/skeleton.py`), and memory is counted on it (`train/footprint.py`).
"""

from __future__ import annotations

import importlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from palate.engine import Layout, Policy, Renderer, resolve_model_folder
from palate.engine.loading import base_of_adapter
from palate.engine.skeleton import load_skeleton
from palate.recipe import LoraOptions, Recipe
from palate.train.account import num_rows_set_aside
from palate.train.batches import BatchPlan, RowCost, cut_into_rows, plan_batches, rows_of
from palate.train.checkpoint import free_bytes
from palate.train.disk import (
    checkpoint_bytes_needed,
    num_checkpoints_held,
    reference_cache_bytes,
    run_bytes_needed,
    weights_bytes,
    written_bytes,
)
from palate.train.encoding import Records, encode_data
from palate.train.examples import Branches, Examples
from palate.train.footprint import Footprint, Rows, loaded_weights, plan_memory
from palate.train.lazy import Mapped
from palate.train.memory import available_memory_bytes, process_bytes, row_cost
from palate.train.schedule import (
    RowCount,
    Tokens,
    checkpoint_steps,
    count_branches,
    count_rows,
    evaluation_steps,
)
from palate.watcher import Watcher

__all__ = ["plan_run"]


def plan_run(
    recipe: Recipe,
    train_records: Records,
    eval_records: Records | None,
    watcher: Watcher | None = None,
    base_folder: Path | None = None,
) -> dict[str, Any]:
    """Everything that can be known of a training before it begins, as plain values (docs/plan.md).

    Arguments are as those of `train`, with which it shares the code that reads, cuts and counts. Nothing is
    written, and no weight is loaded.

    Raises:
        CallError: the recipe, data or model cannot be used.
    """
    watcher = watcher or Watcher()
    _import_what_a_run_does(recipe, base_folder)
    process = process_bytes()
    skeleton = load_skeleton(
        recipe.model,
        head=recipe.objective.reads,
        seed=recipe.seed,
        folder=base_folder,
        gradient_checkpointing=recipe.train.gradient_checkpointing,
    )
    policy = skeleton.policy
    before = process_bytes()
    renderer = Renderer(policy.tokenizer, recipe.data.template, policy.stop_ids())
    train_set, eval_set = encode_data(recipe, train_records, eval_records, renderer, watcher)
    process += max(0, process_bytes() - before)
    weights = loaded_weights(skeleton, recipe.model.quantization)
    available = available_memory_bytes(policy.device)
    on_cpu = policy.device.type == "cpu"
    free = max(0, available - weights.base - weights.adapter)
    plan = plan_batches(train_set.examples, recipe.train, recipe.seed)
    cost = row_cost(policy, recipe.train, free)
    layout = _layout(policy, recipe)
    rows = _rows(recipe, policy, plan, eval_set.examples, cost, layout, watcher)
    memory = plan_memory(
        skeleton,
        recipe.train,
        weights,
        rows,
        layout,
        process=process if on_cpu else 0,
        other_reference=_other_reference(recipe, base_folder),
        following_reference=_follows(recipe),
    )
    disk = _disk(recipe, policy, plan, eval_set.examples)
    fits = {"memory": memory.peak <= available, "disk": disk["total"] <= disk["free"]}
    return {
        "output": recipe.output,
        "objective": recipe.objective.type,
        "device": str(policy.device),
        "dtype": str(policy.compute_dtype).removeprefix("torch."),
        "layout": layout,
        "num_pairs_train": len(train_set),
        "num_pairs_eval": len(eval_set),
        "num_rows_set_aside": num_rows_set_aside(train_set, eval_set),
        **_course(recipe, plan, len(eval_set)),
        "num_parameters": sum(p.numel() for p in policy.base_model.parameters()),
        "num_parameters_trained": sum(p.numel() for p in policy.trainable_parameters()),
        "tokens": _tokens(rows),
        "max_row_tokens": cost.max_tokens,
        "weights": weights.by_dtype,
        "memory": memory.parts,
        "memory_phases": memory.phases,
        "peak_memory_bytes": memory.peak,
        "available_memory_bytes": available,
        "disk": disk,
        "disk_bytes": disk["total"],
        "fits": all(fits.values()),
        "problems": _problems(recipe, memory, available, disk, fits),
    }


def _course(recipe: Recipe, plan: BatchPlan, num_pairs_eval: int) -> dict[str, Any]:
    """What the training goes through, step by step."""
    return {
        "num_steps": plan.num_steps,
        "steps_per_epoch": plan.steps_per_epoch,
        "num_epochs": plan.epoch_of(plan.num_steps),
        "num_evaluations": len(evaluation_steps(plan, recipe.train, num_pairs_eval)),
        "num_checkpoints": len(checkpoint_steps(plan, recipe.train)),
        "num_checkpoints_held": num_checkpoints_held(plan, recipe.train, num_pairs_eval),
        "may_stop_early": recipe.train.early_stopping is not None,
    }


def _import_what_a_run_does(recipe: Recipe, base_folder: Path | None) -> None:
    """Have the libraries in memory that the run will have, so that this process tells what they take."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    kind = AutoModelForCausalLM if recipe.objective.reads == "logps" else AutoModelForSequenceClassification
    folder = base_folder or resolve_model_folder(recipe.model.base, recipe.model.revision)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    kind._model_mapping.get(type(config), None)  # imports the module of its class
    if recipe.model.adapter is not None:
        importlib.import_module("peft")


def _layout(policy: Policy, recipe: Recipe) -> Layout:
    """The layout the run will most likely use; its first-batch proof decides."""
    if getattr(policy.base_model, "_is_stateful", False):
        return "padded"
    return recipe.train.layout


def _follows(recipe: Recipe) -> bool:
    return recipe.objective.needs_reference and recipe.reference.sync_every is not None


def _rows(
    recipe: Recipe,
    policy: Policy,
    plan: BatchPlan,
    held_out: Examples,
    cost: RowCost,
    layout: Layout,
    watcher: Watcher,
) -> Rows:
    watcher.begin("counting tokens", plan.num_steps)
    try:
        train = count_rows(
            (plan.batch(step) for step in range(plan.num_steps)),
            policy,
            layout,
            cost,
            all_sides=recipe.objective.needs_rejected,
            watcher=watcher,
        )
    finally:
        watcher.end()
    evaluate = count_rows(iter([held_out] if held_out else []), policy, layout, cost, all_sides=True)
    reference = None
    if recipe.objective.needs_reference and not _follows(recipe):
        every = _distinct(plan, held_out)
        cut = rows_of(Mapped(every, lambda branch: (branch,)), cost, share=layout == "tree")
        reference = count_branches(([every[i] for i in row] for row in cut), policy, layout)
    first = plan.batch(0)
    proved = cut_into_rows([example.branches for example in first], cost)[0]
    longest = max(len(branch) for i in proved for branch in first[i].branches)
    return Rows(train, evaluate, reference, longest, plan.num_steps)


def _distinct(plan: BatchPlan, held_out: Examples) -> Branches:
    """Every completion that the reference is asked for."""
    return (plan.pool.branches() + held_out.branches()).distinct()


def _tokens(rows: Rows) -> dict[str, Any]:
    parts: dict[str, RowCount | None] = {
        "train": rows.train,
        "evaluation": rows.evaluate,
        "reference": rows.reference,
    }
    return {name: _part(count.tokens, count.num_rows) for name, count in parts.items() if count is not None}


def _part(tokens: Tokens, num_rows: int) -> dict[str, Any]:
    return {
        **asdict(tokens),
        "num_rows": num_rows,
        "sharing_factor": tokens.represented / max(1, tokens.computed),
    }


def _other_reference(recipe: Recipe, base_folder: Path | None) -> int:
    """Bytes of another model that is the reference."""
    name = recipe.reference.model
    if name is None or not recipe.objective.needs_reference:
        return 0
    adapter = Path(name).expanduser()
    options = recipe.model.model_copy(update={"base": name, "adapter": LoraOptions()})
    folder = base_folder if name == recipe.model.base else None
    if (adapter / "adapter_config.json").is_file():
        options = options.model_copy(update=base_of_adapter(adapter))
        folder = None
    found = loaded_weights(load_skeleton(options, folder=folder), options.quantization)
    return found.base


def _disk(recipe: Recipe, policy: Policy, plan: BatchPlan, held_out: Examples) -> dict[str, int]:
    """Bytes, by what they are for. `total` is what has to be free beside what the run has written already."""
    folder = Path(recipe.output)
    checkpoint = checkpoint_bytes_needed(policy, recipe.train, following_reference=_follows(recipe))
    result = weights_bytes(policy)
    asked = recipe.objective.needs_reference and not _follows(recipe)
    cache = reference_cache_bytes(_distinct(plan, held_out)) if asked else 0
    checkpoints = run_bytes_needed(policy, recipe, plan, len(held_out)) - result
    return {
        "checkpoint": checkpoint,
        "checkpoints": checkpoints,
        "result": result,
        "reference_cache": cache,
        "total": checkpoints + result + cache,
        "free": free_bytes(folder) + (written_bytes(folder / "checkpoints") if folder.is_dir() else 0),
    }


def _problems(
    recipe: Recipe, memory: Footprint, available: int, disk: dict[str, int], fits: dict[str, bool]
) -> list[dict[str, str]]:
    """What does not fit: what, why, and what to do next."""
    found = []
    if not fits["memory"]:
        found.append(
            {
                "what": "this run does not fit in memory",
                "why": f"it takes {_gb(memory.peak)}, and {_gb(available)} is to be had",
                "next": _relief(recipe, memory),
            }
        )
    if not fits["disk"]:
        found.append(
            {
                "what": "what this run writes does not fit on the disk",
                "why": f"it takes {_gb(disk['total'])}, and {_gb(disk['free'])} is free",
                "next": "free some space, name an output on another disk, or lower train.keep_checkpoints",
            }
        )
    return found


def _relief(recipe: Recipe, memory: Footprint) -> str:
    """What would lower the largest part that a recipe can lower."""
    ways = []
    if recipe.model.adapter is None:
        ways.append("drop model.adapter=null, so that only an adapter is trained")
    elif recipe.model.quantization is None:
        ways.append("model.quantization={} holds the base in four bits")
    if not recipe.train.gradient_checkpointing:
        ways.append("train.gradient_checkpointing=true keeps less for the backward pass")
    ways.append("train.micro_batch_tokens=512 makes rows shorter")
    if memory.parts.get("activations", 0) > memory.parts.get("weights", 0):
        ways.reverse()
    return "; ".join(ways)


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
