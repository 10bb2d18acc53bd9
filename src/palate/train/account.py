"""What a run writes about itself: where its data went, what it was made of, and how it ended."""

from __future__ import annotations

from typing import Any

from palate.engine import LayoutProof, Policy
from palate.engine.reference import weights_hash
from palate.recipe import Recipe
from palate.train.encoding import Records
from palate.train.environment import environment, file_hash
from palate.train.example_set import Asides, ExampleSet
from palate.train.loop import Trainer
from palate.train.memory import peak_memory_bytes
from palate.train.run_folder import RunFolder

__all__ = ["account_in_words", "num_rows_set_aside", "summarise", "write_data_account", "write_origins"]


def write_data_account(
    folder: RunFolder,
    recipe: Recipe,
    train_records: Records,
    eval_records: Records | None,
    train_set: ExampleSet,
    eval_set: ExampleSet,
) -> None:
    """data.json: rows in = rows kept + rows set aside, and why. And the held-out prompts."""
    source = recipe.data.train.source
    held_out = None
    if eval_records is not None:
        eval_source = recipe.data.eval.source if recipe.data.eval is not None else eval_records.source
        held_out = _account(eval_source, eval_records.layout, eval_set, _unread(eval_set))
    elif eval_set.examples:
        held_out = {
            "source": f"held out of {source} by prompt",
            "layout": train_records.layout,
            "num_prompts": eval_set.examples.num_prompts,
            "num_pairs": len(eval_set),
            "num_too_long": eval_set.num_too_long,
            "num_boundary_merges": eval_set.num_boundary_merges,
        }
    # Rows held out of the training file that could not be used are rows of that file.
    also = _unread(train_set)
    if eval_records is None:
        also += eval_set.set_aside
    account = _account(source, train_records.layout, train_set, also)
    folder.write("data.json", {"train": account, "eval": held_out})
    # What the models are compared on: kept here, for the data may have changed or moved by then.
    as_dicts = [[message.as_dict() for message in prompt] for prompt in eval_set.examples.prompts()]
    folder.write("evaluation/prompts.json", {"prompts": as_dicts})


def account_in_words(source: str, records: Records, found: ExampleSet) -> str:
    """What reading a source came to, in a line."""
    num_rows, num_aside = found.table.num_rows, len(found.table.asides)
    kept = f"{num_rows - num_aside} {records.kind} kept, {num_aside} rows set aside"
    return f"{source}: {num_rows} rows, layout {records.layout}, {kept}"


def num_rows_set_aside(train_set: ExampleSet, eval_set: ExampleSet) -> int:
    """How much of what was read is not learned from or evaluated on: rows, and records that rows became."""
    tables = {id(found.table): found.table for found in (train_set, eval_set)}
    unread = sum(len(table.asides) for table in tables.values())
    return unread + len(train_set.set_aside) + len(eval_set.set_aside)


def _unread(encoded: ExampleSet) -> Asides:
    """The rows that did not become records."""
    return Asides.of(encoded.table.asides, encoded.table)


def _account(source: str, layout: str, encoded: ExampleSet, set_aside: Asides) -> dict[str, Any]:
    every = set_aside + encoded.set_aside
    num_rows = encoded.table.num_rows
    return {
        "source": source,
        "layout": layout,
        "num_rows": num_rows,
        "num_kept": num_rows - every.num_rows,
        "num_set_aside": every.num_rows,
        "set_aside": [
            {"reason": reason, "count": count, "examples": places}
            for reason, count, places in every.by_reason()
        ],
        "num_prompts": encoded.examples.num_prompts,
        "num_pairs": len(encoded),
        "num_too_long": encoded.num_too_long,
        "num_truncated": encoded.num_truncated,
        "num_boundary_merges": encoded.num_boundary_merges,
    }


def write_origins(
    recipe: Recipe,
    policy: Policy,
    folder: RunFolder,
) -> None:
    """environment.json and lineage.json: on what, and out of what, the run was made."""
    folder.write("environment.json", environment(policy.device))
    data = {
        name: {"source": of.source, "sha256": file_hash(of.source)}
        for name, of in (("train", recipe.data.train), ("eval", recipe.data.eval))
        if of is not None
    }
    base = {
        "name": recipe.model.base,
        "revision": recipe.model.revision,
        "content_hash": weights_hash(policy.folder),
        "dtype": str(policy.compute_dtype).removeprefix("torch."),
        "quantization": policy.quantization,
        "attention": policy.attention,
        "adapter_hash": policy.start_hash or None,
    }
    lineage = {"base": base, "template": recipe.data.template, "data": data}
    if recipe.objective.needs_reference:
        lineage["reference"] = recipe.reference.model_dump()
    folder.write("lineage.json", lineage)


def summarise(
    trainer: Trainer,
    proof: LayoutProof,
    train_set: ExampleSet,
    eval_set: ExampleSet,
) -> dict[str, Any]:
    """The figures a script wants."""
    progress = trainer.progress
    best = progress.best_figures
    reference = trainer.source.reference
    return {
        "status": "done",
        "objective": trainer.asked.type,
        "data": trainer.asked.data,
        "needs_reference": trainer.asked.needs_reference,
        "num_pairs_train": len(train_set),
        "num_pairs_seen": min(progress.num_examples, len(trainer.plan.pool)),
        "num_pairs_eval": len(eval_set),
        "num_rows_set_aside": num_rows_set_aside(train_set, eval_set),
        "num_steps": progress.step,
        "stopped_early": progress.stopped_early,
        "num_processes": trainer.processes.size,
        "num_reference_completions_computed": reference.num_computed if reference is not None else 0,
        "num_reference_completions_cached": reference.num_cached if reference is not None else 0,
        "sharing_factor": progress.tokens_represented / max(1, progress.tokens_computed),
        "peak_memory_bytes": peak_memory_bytes(trainer.source.policy.device),
        "max_row_tokens": trainer.row_cost.max_tokens,
        "layout": proof.layout,
        "tree_check_max_abs_difference": proof.max_abs_difference,
        "train_seconds": progress.seconds,
        "best_step": progress.best_step or progress.step,
        "eval": {
            "loss": best["loss"],
            "reward_accuracy": best["rewards_accuracy"],
            "reward_margin": best["rewards_margin"],
        }
        if best
        else None,
    }
