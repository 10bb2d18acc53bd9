"""What a run writes about itself: where its data went, what it was made of, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from palate.data import RecordSet
from palate.engine import LayoutProof, Policy
from palate.engine.reference import weights_hash
from palate.recipe import Recipe
from palate.records import SetAside
from palate.train.environment import environment, file_hash
from palate.train.examples import ExampleSet
from palate.train.loop import Trainer
from palate.train.memory import peak_memory_bytes
from palate.train.run_folder import RunFolder

__all__ = ["summarise", "write_data_account", "write_origins"]


def write_data_account(
    folder: RunFolder,
    train_records: RecordSet,
    eval_records: RecordSet | None,
    train_set: ExampleSet,
    eval_set: ExampleSet,
) -> None:
    """data.json: rows in = rows kept + rows set aside, and why. And the held-out prompts."""
    held_out = None
    if eval_records is not None:
        held_out = _account(eval_records, eval_set, eval_records.set_aside)
    elif eval_set.examples:
        held_out = {
            "source": f"held out of {train_records.source} by prompt",
            "layout": train_records.layout,
            "num_prompts": len({example.prompt_id for example in eval_set.examples}),
            "num_pairs": len(eval_set),
            "num_too_long": eval_set.num_too_long,
            "num_boundary_merges": eval_set.num_boundary_merges,
        }
    # Rows held out of the training file that could not be used are rows of that file.
    also = () if eval_records is not None else eval_set.set_aside
    account = _account(train_records, train_set, (*train_records.set_aside, *also))
    folder.write("data.json", {"train": account, "eval": held_out})
    # What the models are compared on: kept here, for the data may have changed or moved by then.
    prompts = dict.fromkeys(example.record.prompt for example in eval_set.examples)
    as_dicts = [[message.as_dict() for message in prompt] for prompt in prompts]
    folder.write("evaluation/prompts.json", {"prompts": as_dicts})


def _account(records: RecordSet, encoded: ExampleSet, set_aside: Sequence[SetAside]) -> dict[str, Any]:
    every = (*set_aside, *encoded.set_aside)
    reasons = Counter(aside.reason for aside in every)
    # One row may have become several examples: a ranking of five is ten pairs.
    rows_aside = {(aside.source, aside.line, aside.excerpt if aside.line is None else "") for aside in every}
    return {
        "source": records.source,
        "layout": records.layout,
        "num_rows": records.num_rows,
        "num_kept": records.num_rows - len(rows_aside),
        "num_set_aside": len(rows_aside),
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


def write_origins(
    recipe: Recipe,
    policy: Policy,
    folder: RunFolder,
    train_records: RecordSet,
    eval_records: RecordSet | None,
) -> None:
    """environment.json and lineage.json: on what, and out of what, the run was made."""
    folder.write("environment.json", environment(policy.device))
    data = {
        name: {"source": records.source, "sha256": file_hash(records.source)}
        for name, records in (("train", train_records), ("eval", eval_records))
        if records is not None
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
    train_records: RecordSet,
    eval_records: RecordSet | None,
    train_set: ExampleSet,
    eval_set: ExampleSet,
) -> dict[str, Any]:
    """The figures a script wants."""
    progress = trainer.progress
    best = progress.best_figures
    set_aside = len(train_records.set_aside) + len(train_set.set_aside) + len(eval_set.set_aside)
    set_aside += len(eval_records.set_aside) if eval_records is not None else 0
    reference = trainer.source.reference
    return {
        "status": "done",
        "objective": trainer.asked.type,
        "data": trainer.asked.data,
        "needs_reference": trainer.asked.needs_reference,
        "num_pairs_train": len(train_set),
        "num_pairs_seen": min(progress.num_examples, len(trainer.plan.pool)),
        "num_pairs_eval": len(eval_set),
        "num_rows_set_aside": set_aside,
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
