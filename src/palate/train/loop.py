"""The loop. It asks the objective what it needs and never has to know which one it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from palate.engine import BranchLogps, Layout, Policy, Reference, branch_logps
from palate.errors import TrainingError
from palate.objectives import PairLogps, implicit_rewards
from palate.recipe import ObjectiveOptions, TrainOptions
from palate.train.batches import BatchPlan, RowCost, cut_into_rows
from palate.train.checkpoint import prune_checkpoints, save_checkpoint
from palate.train.examples import Example
from palate.train.memory import peak_memory_bytes
from palate.train.metrics import Meter, PairComputation
from palate.train.optimizer import learning_rate_at
from palate.train.run_folder import RunFolder
from palate.watcher import Watcher

__all__ = ["Best", "Trainer", "evaluate", "run_steps"]


@dataclass(slots=True)
class Best:
    """The best evaluation so far."""

    step: int | None = None
    value: float = math.inf
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Trainer:
    """What the loop works with, all of it built beforehand."""

    policy: Policy
    reference: Reference | None
    objective: Callable[[PairLogps], Tensor]
    objective_options: ObjectiveOptions
    options: TrainOptions
    plan: BatchPlan
    eval_examples: Sequence[Example]
    layout: Layout
    row_cost: RowCost
    optimizer: torch.optim.Optimizer
    folder: RunFolder
    watcher: Watcher
    best: Best = field(default_factory=Best)
    seconds: float = 0.0
    """Time in optimizer steps so far, and below what went through them."""
    num_pairs: int = 0
    tokens_computed: int = 0
    tokens_represented: int = 0


def run_steps(trainer: Trainer) -> None:
    """Train through the plan: log every step, evaluate and save when due.

    Raises:
        TrainingError: a loss or gradient is not finite; raised before the optimizer has stepped on it.
    """
    plan = trainer.plan
    for step in range(plan.num_steps):
        started = time.perf_counter()
        batch = plan.batch(step)
        meter = Meter(trainer.objective_options.reward_scale)
        denominator = _denominator(trainer, batch)
        with_rejected = trainer.objective_options.needs_rejected
        for row in _rows(trainer, batch, with_rejected=with_rejected):
            computed = compute_pairs(trainer, row, with_rejected=with_rejected)
            losses_B = trainer.objective(computed.pairs)
            (losses_B.sum() / denominator).backward()
            meter.add(computed, losses_B)
        learning_rate = _set_learning_rate(trainer, step)
        grad_norm = _clip_gradients(trainer)
        figures = meter.figures(trainer.objective_options.normalise_by)
        _refuse_non_finite(trainer, step + 1, {"loss": figures["loss"], "gradient norm": grad_norm})
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)
        figures |= {"grad_norm": grad_norm, "learning_rate": learning_rate}
        _log_step(trainer, step + 1, figures, len(batch), time.perf_counter() - started)
        if _due(trainer.options.evaluate_every, step + 1, plan):
            evaluate(trainer, step + 1)
        if _due(trainer.options.checkpoint_every, step + 1, plan):
            _save(trainer, step + 1)


def compute_pairs(trainer: Trainer, examples: Sequence[Example], *, with_rejected: bool) -> PairComputation:
    """Log-probabilities of both sides under the policy, and the reference where the objective has one."""
    branches = [example.chosen for example in examples]
    if with_rejected:
        branches += [example.rejected for example in examples]
    policy = branch_logps(trainer.policy, branches, trainer.layout)
    reference = trainer.reference.logps(branches) if trainer.reference is not None else None
    return PairComputation(_as_pairs(policy, reference, len(examples)), policy, reference)


def evaluate(trainer: Trainer, step: int) -> dict[str, Any] | None:
    """The held-out pairs, all of them, without gradient or dropout. The best step so far is kept."""
    if not trainer.eval_examples:
        return None
    meter = Meter(trainer.objective_options.reward_scale)
    margins: list[dict[str, Any]] = []
    with trainer.policy.evaluating():
        for row in _rows(trainer, trainer.eval_examples, with_rejected=True):
            # Both sides, always: whether a model tells them apart is worth knowing in any case.
            computed = compute_pairs(trainer, row, with_rejected=True)
            meter.add(computed, trainer.objective(computed.pairs))
            margins += _margins(trainer, row, computed)
    figures = meter.figures(trainer.objective_options.normalise_by)
    _refuse_non_finite(trainer, step, {"loss on held-out pairs": figures["loss"]})
    line = {"step": step, "epoch": trainer.plan.epoch_of(step), "split": "eval", **figures}
    # Every line has the same keys; what an evaluation has not is null.
    line |= dict.fromkeys(("grad_norm", "learning_rate", "pairs_per_second"))
    trainer.folder.log(line | {"peak_memory_bytes": peak_memory_bytes(trainer.policy.device)})
    value = _to_minimise(trainer.options.best_metric, figures)
    if value < trainer.best.value or trainer.best.step is None:
        trainer.best.step, trainer.best.value, trainer.best.figures = step, value, figures
        trainer.folder.write("evaluation/held_out.json", {"step": step, "pairs": margins})
        _save(trainer, step)
    return figures


def _margins(trainer: Trainer, row: Sequence[Example], computed: PairComputation) -> list[dict[str, Any]]:
    """By how much each held-out pair is told apart, and whose it is."""
    chosen, rejected = implicit_rewards(computed.pairs, trainer.objective_options.reward_scale)
    assert rejected is not None
    margins = (chosen - rejected).tolist()
    return [
        {"pair": example.pair.id, "prompt": example.prompt_id, "reward_margin": margin}
        for example, margin in zip(row, margins, strict=True)
    ]


def _as_pairs(policy: BranchLogps, reference: BranchLogps | None, num_pairs: int) -> PairLogps:
    logps, lengths = policy.sums(), policy.num_scored_B
    reference_logps = reference.sums() if reference is not None else None
    both = len(logps) > num_pairs
    return PairLogps(
        chosen=logps[:num_pairs],
        chosen_lengths=lengths[:num_pairs],
        rejected=logps[num_pairs:] if both else None,
        rejected_lengths=lengths[num_pairs:] if both else None,
        reference_chosen=reference_logps[:num_pairs] if reference_logps is not None else None,
        reference_rejected=reference_logps[num_pairs:] if reference_logps is not None and both else None,
    )


def _rows(trainer: Trainer, examples: Sequence[Example], *, with_rejected: bool) -> list[list[Example]]:
    units = [(e.chosen, e.rejected) if with_rejected else (e.chosen,) for e in examples]
    rows = cut_into_rows(units, trainer.row_cost, share=trainer.layout == "tree")
    return [[examples[i] for i in row] for row in rows]


def _denominator(trainer: Trainer, batch: Sequence[Example]) -> int:
    """What the whole batch's losses are divided by, however it is cut into rows."""
    if trainer.objective_options.normalise_by == "examples":
        return len(batch)
    return sum(example.chosen.num_scored for example in batch)


def _set_learning_rate(trainer: Trainer, step: int) -> float:
    learning_rate = learning_rate_at(step, trainer.plan.num_steps, trainer.options)
    for group in trainer.optimizer.param_groups:
        group["lr"] = learning_rate
    return learning_rate


def _clip_gradients(trainer: Trainer) -> float:
    limit = trainer.options.max_grad_norm
    parameters = trainer.policy.trainable_parameters()
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit if limit is not None else math.inf)
    return float(norm)


def _to_minimise(metric: str, figures: dict[str, Any]) -> float:
    value = figures[metric]
    if value is None:  # not finite: no step is worse
        return math.inf
    return float(value if metric == "loss" else -value)


def _refuse_non_finite(trainer: Trainer, step: int, figures: dict[str, float]) -> None:
    strange = [f"the {name} is {value}" for name, value in figures.items() if not math.isfinite(value)]
    if not strange:
        return
    raise TrainingError(
        f"{strange[0]} at step {step}; stopped, and nothing of it was kept",
        where=str(trainer.folder.path),
        why="numbers overflowed, most often from too high a learning rate or from float16",
        next=f"lower train.learning_rate (now {trainer.options.learning_rate:g}), or set model.dtype=float32",
    )


def _log_step(trainer: Trainer, step: int, figures: dict[str, Any], num_pairs: int, seconds: float) -> None:
    trainer.seconds += seconds
    trainer.num_pairs += num_pairs
    trainer.tokens_computed += figures["tokens_computed"]
    trainer.tokens_represented += figures["tokens_represented"]
    line = {
        "step": step,
        "epoch": trainer.plan.epoch_of(step),
        "split": "train",
        **figures,
        "pairs_per_second": num_pairs / seconds,
        "peak_memory_bytes": peak_memory_bytes(trainer.policy.device),
    }
    trainer.folder.log(line)
    accuracy = figures["rewards_accuracy"]
    said = f", accuracy {accuracy:.2f}" if accuracy is not None else ""
    trainer.watcher.advance(step, f"loss {figures['loss']:.4f}{said}, {num_pairs / seconds:.1f} pairs/s")


def _due(every: int | str, step: int, plan: BatchPlan) -> bool:
    if step == plan.num_steps:
        return True
    return step % (plan.steps_per_epoch if isinstance(every, str) else every) == 0


def _save(trainer: Trainer, step: int) -> None:
    save_checkpoint(trainer.policy, trainer.folder.checkpoints, step)
    prune_checkpoints(trainer.folder.checkpoints, trainer.options.keep_checkpoints, trainer.best.step)
