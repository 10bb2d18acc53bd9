"""The loop. It asks the objective what it needs and never has to know which one it is."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from palate.engine.sharding import whole
from palate.errors import TrainingError
from palate.recipe import ObjectiveOptions, TrainOptions
from palate.train.batches import BatchPlan, RowCost, rows_of, share_of
from palate.train.coupling import couple, kl_estimate
from palate.train.examples import Example
from palate.train.inputs import BatchContext, Source
from palate.train.interrupts import Interrupts
from palate.train.lazy import Mapped, Rows
from palate.train.memory import is_out_of_memory, peak_memory_bytes
from palate.train.metrics import Meter
from palate.train.optimizer import learning_rate_at
from palate.train.processes import Processes
from palate.train.progress import Progress
from palate.train.random_state import RandomState
from palate.train.run_folder import RunFolder
from palate.train.zero import Zero
from palate.watcher import Watcher

__all__ = ["Trainer", "evaluate", "run_steps"]


class _StepUndone(Exception):
    """A step was given up before the optimizer moved; the weights and generators are as before it."""


@dataclass(eq=False)
class Trainer:
    """What the loop works with, all of it built beforehand; `progress` alone changes on the way."""

    source: Source
    objective: Callable[[Any], Tensor]
    options: TrainOptions
    plan: BatchPlan
    eval_examples: Sequence[Example]
    row_cost: RowCost
    optimizer: torch.optim.Optimizer
    folder: RunFolder
    watcher: Watcher
    save: Callable[[Trainer], None]
    """Writes a checkpoint of this moment."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """What the run is made of, by name, as fingerprints: a checkpoint is only of use where they are equal."""
    on_line: Callable[[dict[str, Any]], None] = lambda line: None
    """Is given every line of metrics.jsonl once it is written, in the main process."""
    processes: Processes = field(default_factory=Processes)
    zero: Zero | None = None
    """Where DeepSpeed divides the optimizer, which then moves the weights."""
    progress: Progress = field(default_factory=Progress)
    interrupts: Interrupts = field(default_factory=Interrupts)

    @property
    def asked(self) -> ObjectiveOptions:
        """What the objective says of itself."""
        return self.source.options


def run_steps(trainer: Trainer) -> None:
    """Train through the plan: log every step, evaluate and save when due.

    Raises:
        TrainingError: a loss or gradient is not finite, or one example alone does not fit in memory; raised
            before the optimizer has stepped on it.
        Interrupted: it was asked to stop, and has saved.
    """
    progress = trainer.progress
    with trainer.interrupts.listening():
        while True:
            _stop_if_asked(trainer)
            _evaluate_and_save_if_due(trainer)
            if progress.step >= trainer.plan.num_steps or progress.stopped_early:
                return
            state = RandomState.now(trainer.source.policy.device)
            try:
                take_step(trainer)
            except _StepUndone:
                trainer.optimizer.zero_grad(set_to_none=True)
                state.restore(trainer.source.policy.device)
            except (RuntimeError, MemoryError) as error:  # beyond the rows, which see to it themselves
                if not is_out_of_memory(error):
                    raise
                raise _no_memory(trainer, "in the optimizer's step", error) from None


def take_step(trainer: Trainer) -> None:
    """One optimizer step on one batch, whatever it takes in rows."""
    progress, asked = trainer.progress, trainer.asked
    started = time.perf_counter()
    batch = trainer.plan.batch(progress.step)
    meter = _accumulate(trainer, batch)
    learning_rate = learning_rate_at(progress.step, trainer.plan.num_steps, trainer.options)
    grad_norm = _finish_gradients(trainer, learning_rate)
    figures = meter.figures(asked.normalise_by)
    _refuse_non_finite(trainer, progress.step + 1, {"loss": figures["loss"], "gradient norm": grad_norm})
    (trainer.zero or trainer.optimizer).step()
    trainer.optimizer.zero_grad(set_to_none=True)
    progress.after_step(meter.reward_sum() if asked.needs_reward_shift else None)
    if trainer.source.reference is not None:
        trainer.source.reference.after_step(progress.step)
    figures |= {"grad_norm": grad_norm, "learning_rate": learning_rate}
    _log_step(trainer, figures, len(batch), time.perf_counter() - started)


def _accumulate(trainer: Trainer, batch: Sequence[Example]) -> Meter:
    """Every row forwards and backwards. Where memory ends, all over again with rows half as long: the batch,
    and so the result, stays the same."""
    asked, device = trainer.asked, trainer.source.policy.device
    denominator = len(batch) if asked.normalise_by == "examples" else sum(e.num_target_tokens for e in batch)
    scale = trainer.progress.loss_scale / denominator
    state = RandomState.now(device)
    while True:
        meter = Meter(trainer.processes, labelled=asked.data == "labels")
        try:
            for row, objective, context in _prepared_rows(trainer, batch, all_sides=asked.needs_rejected):
                _give_up_step_if_asked(trainer)
                computed = trainer.source.compute(row, context, all_sides=asked.needs_rejected)
                losses_B = objective(computed.inputs) * _weights(row, computed.rewards_BK)
                _backward(trainer, losses_B.sum() * scale)
                meter.add(row, computed, losses_B)
            return meter
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
        # Outside the handler, which would keep what was computed alive.
        trainer.optimizer.zero_grad(set_to_none=True)
        state.restore(device)
        _shorten_rows(trainer, batch, reason)


def _backward(trainer: Trainer, loss: Tensor) -> None:
    if trainer.zero is not None:
        trainer.zero.backward(loss)
    else:
        loss.backward()


def _prepared_rows(
    trainer: Trainer, examples: Sequence[Example], *, all_sides: bool
) -> Iterator[tuple[list[Example], Callable[[Any], Tensor], BatchContext]]:
    """This process's rows of the batch, with what each is to be given beside its own completions.

    Of examples that are made on access those of one row are in memory at a time.
    """
    source, asked, processes = trainer.source, trainer.asked, trainer.processes
    mine = share_of(examples, processes.rank, processes.size)
    units = Mapped(mine, lambda example: example.branches if all_sides else example.branches[:1])
    cut = Rows(mine, rows_of(units, trainer.row_cost, share=source.layout == "tree"))
    shift = torch.tensor(trainer.progress.reward_shift, device=source.policy.device)
    context = BatchContext(
        kl=kl_estimate(source, cut, processes) if asked.needs_kl else None,
        reward_shift=shift if asked.needs_reward_shift else None,
    )
    objectives = [trainer.objective] * len(cut)
    if asked.couples_batch:
        objectives = couple(trainer.objective, source, cut, processes, context)
    return ((row, objective, context) for row, objective in zip(cut, objectives, strict=True))


def evaluate(trainer: Trainer) -> bool:
    """All held-out examples, without gradient or dropout. Returns whether that is the best so far."""
    progress, asked = trainer.progress, trainer.asked
    meter = Meter(trainer.processes, labelled=asked.data == "labels")
    margins: list[dict[str, Any]] = []
    with trainer.source.policy.evaluating():
        # All sides, always: whether a model tells them apart is worth knowing in any case.
        for row, objective, context in _prepared_rows(trainer, trainer.eval_examples, all_sides=True):
            if trainer.processes.size == 1 and trainer.interrupts.received is not None:
                return False
            computed = trainer.source.compute(row, context)
            meter.add(row, computed, objective(computed.inputs) * _weights(row, computed.rewards_BK))
            margins += _margins(row, computed.rewards_BK)
    figures = meter.figures(asked.normalise_by)
    _refuse_non_finite(trainer, progress.step, {"loss on held-out data": figures["loss"]})
    margins = [margin for part in trainer.processes.gather(margins) for margin in part]
    improved = progress.after_evaluation(figures, trainer.options)
    line = {"step": progress.step, "epoch": trainer.plan.epoch_of(progress.step), "split": "eval", **figures}
    # Every line has the same keys; what an evaluation has not is null.
    line |= dict.fromkeys(("grad_norm", "learning_rate", "pairs_per_second"))
    if trainer.processes.is_main:
        _log(trainer, line | {"peak_memory_bytes": peak_memory_bytes(trainer.source.policy.device)})
        if improved and margins:
            trainer.folder.write("evaluation/held_out.json", {"step": progress.step, "pairs": margins})
    return improved


def _evaluate_and_save_if_due(trainer: Trainer) -> None:
    progress, options, plan = trainer.progress, trainer.options, trainer.plan
    if progress.step == 0:
        return
    improved = False
    if trainer.eval_examples and is_due(options.evaluate_every, progress.step, plan):
        if progress.last_evaluated != progress.step:
            improved = evaluate(trainer)
            _stop_if_asked(trainer)
        if progress.stopped_early:
            stale = f"{progress.num_stale_evaluations} evaluations without a better {options.best_metric}"
            trainer.watcher.note(f"stopped early at step {progress.step}: {stale}")
    last = progress.stopped_early or progress.step == plan.num_steps
    if improved or last or is_due(options.checkpoint_every, progress.step, plan):
        trainer.save(trainer)


def _stop_if_asked(trainer: Trainer) -> None:
    """Save and stop, where a signal asked for it; several processes agree on it between two steps."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    counts = trainer.processes.sum([float(trainer.interrupts.received == number) for number in numbers])
    if not any(counts):
        return
    trainer.interrupts.received = next(number for number, n in zip(numbers, counts, strict=True) if n)
    if trainer.progress.step > 0:
        trainer.save(trainer)
    raise trainer.interrupts.error(trainer.folder.path, trainer.progress.step, trainer.plan.num_steps)


def _finish_gradients(trainer: Trainer, learning_rate: float) -> float:
    """Sum them over the processes, take the loss scale out, clip; returns their norm before clipping."""
    for group in trainer.optimizer.param_groups:
        group["lr"] = learning_rate
    if trainer.zero is not None:
        trainer.processes.wait()  # until no process has any more rows
        return trainer.zero.finish_gradients()
    parameters = trainer.source.policy.trainable_parameters()
    trainer.processes.sum_gradients(parameters)
    progress = trainer.progress
    if progress.loss_scale != 1.0:
        torch._foreach_div_([p.grad for p in parameters if p.grad is not None], progress.loss_scale)
    limit = trainer.options.max_grad_norm
    total = whole(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))
    torch.nn.utils.clip_grads_with_norm_(parameters, limit if limit is not None else math.inf, total)
    norm = float(total)
    if not math.isfinite(norm) and progress.loss_scale > 1.0:
        # float16 holds no more than 65504: the same step again, scaled less. No batch is skipped.
        progress.loss_scale /= 2
        raise _StepUndone
    return norm


def _shorten_rows(trainer: Trainer, batch: Sequence[Example], reason: str) -> None:
    now = trainer.row_cost.max_tokens
    longest = max(sum(len(branch) for branch in example.branches) for example in batch)
    # Processes that wait for each other within a step cannot start it anew one by one.
    together = trainer.asked.needs_kl or trainer.asked.couples_batch
    together = together or trainer.source.policy.sharding is not None or trainer.zero is not None
    waited_for = trainer.processes.size > 1 and together
    if now <= longest // 2 or waited_for:
        raise _no_memory(trainer, f"with rows of {now} tokens", reason)
    trainer.row_cost = replace(trainer.row_cost, max_tokens=now // 2)
    trainer.progress.max_row_tokens = now // 2
    trainer.watcher.note(f"out of memory: rows of {now // 2} tokens from here on, batches as large as before")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _no_memory(trainer: Trainer, when: str, reason: object) -> TrainingError:
    return TrainingError(
        f"out of memory at step {trainer.progress.step + 1}, {when}",
        where=str(trainer.folder.path),
        why=str(reason).partition("\n")[0],
        next="lower data.max_length, or set train.gradient_checkpointing=true or train.optimizer=adamw_8bit",
    )


def _give_up_step_if_asked(trainer: Trainer) -> None:
    """Alone, a process stops between two rows; several finish the step, for they wait for each other."""
    if trainer.processes.size == 1 and trainer.interrupts.received is not None:
        raise _StepUndone


def _weights(row: Sequence[Example], like: Tensor) -> Tensor:
    return torch.tensor([example.weight for example in row], dtype=like.dtype, device=like.device)


def _margins(row: Sequence[Example], rewards_BK: Tensor) -> list[dict[str, Any]]:
    """By how much each held-out preference is told apart, and whose it is."""
    found = []
    for example, rewards in zip(row, rewards_BK.tolist(), strict=True):
        for better, worse in combinations(range(len(example.branches)), 2):
            places = "" if len(example.branches) == 2 else f":{better}:{worse}"
            margin = rewards[better] - rewards[worse]
            pair = {"pair": example.id + places, "prompt": example.prompt_id}
            found.append({**pair, "reward_margin": margin})
    return found


def _refuse_non_finite(trainer: Trainer, step: int, figures: dict[str, float]) -> None:
    strange = [f"the {name} is {value}" for name, value in figures.items() if not math.isfinite(value)]
    if not strange:
        return
    raise TrainingError(
        f"{strange[0]} at step {step}; stopped before that step was taken",
        where=str(trainer.folder.path),
        why="numbers overflowed, most often from too high a learning rate, from float16, or huge weights",
        next="train anew with another output=... and model.dtype=float32, or a train.learning_rate below "
        f"{trainer.options.learning_rate:g}",
    )


def _log_step(trainer: Trainer, figures: dict[str, Any], num_examples: int, seconds: float) -> None:
    progress = trainer.progress
    progress.count(figures, num_examples, seconds)
    line = {
        "step": progress.step,
        "epoch": trainer.plan.epoch_of(progress.step),
        "split": "train",
        **figures,
        "pairs_per_second": num_examples / seconds,
        "peak_memory_bytes": peak_memory_bytes(trainer.source.policy.device),
    }
    if trainer.processes.is_main:
        _log(trainer, line)
    accuracy = figures["rewards_accuracy"]
    said = f", accuracy {accuracy:.2f}" if accuracy is not None else ""
    detail = f"loss {figures['loss']:.4f}{said}, {num_examples / seconds:.1f} pairs/s"
    trainer.watcher.advance(progress.step, detail)


def _log(trainer: Trainer, line: dict[str, Any]) -> None:
    trainer.folder.log(line)
    trainer.on_line(line)


def is_due(every: int | str, step: int, plan: BatchPlan) -> bool:
    if step == plan.num_steps:
        return True
    return step % (plan.steps_per_epoch if isinstance(every, str) else every) == 0
