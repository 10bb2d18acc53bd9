"""All that a resumed run needs to go on as if it had never stopped, into a checkpoint and out of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from palate.engine.restoring import restore_weights
from palate.errors import ArtifactError
from palate.train.checkpoint import (
    SavedState,
    checkpoint_folder,
    discard_newer,
    load_state,
    newest_whole,
    prune_checkpoints,
    save_checkpoint,
    verify_checkpoint,
    write_weights,
)
from palate.train.loop import Trainer
from palate.train.optimizer import load_optimizer_tensors, optimizer_tensors
from palate.train.processes import Processes
from palate.train.random_state import RandomState

__all__ = ["find_checkpoint", "save", "take_up"]


def save(trainer: Trainer) -> None:
    """Write a checkpoint of this moment, then let go of those that are no longer wanted."""
    processes, progress = trainer.processes, trainer.progress
    policy = trainer.source.policy
    random = processes.gather(RandomState.now(policy.device))
    write: Callable[[Path], None] = partial(write_weights, policy)
    if policy.trains_in_parts:  # all processes bring theirs, one writes
        write = partial(policy.save_weights, weights=policy.gathered_weights(keep=processes.is_main))
    in_parts = policy.trains_in_parts or trainer.zero is not None
    tensors = _tensors(trainer, random) if in_parts or processes.is_main else {}
    if processes.is_main:
        checkpoints = trainer.folder.checkpoints
        trainer.folder.flush_log()  # a resumed run counts on every line up to its checkpoint
        save_checkpoint(checkpoints, progress.step, write, tensors, _state(trainer, random))
        best = () if progress.best_step is None else (progress.best_step,)
        keep = trainer.options.keep_checkpoints
        prune_checkpoints(checkpoints, keep, best, just_written=progress.step)
    processes.wait()


def find_checkpoint(checkpoints: Path, note: Callable[[str], None]) -> Path | None:
    """The newest checkpoint that is whole; None where none was written. Damaged ones are named.

    One whose best is damaged is passed over too, unless there is no other.

    Raises:
        ArtifactError: there are some, and none is whole.
    """
    found = newest_whole(checkpoints, note, also=partial(_best_is_whole, checkpoints))
    if found is None:
        found = newest_whole(checkpoints, lambda text: None)
    if found is None and any(checkpoints.glob("step-*")):
        raise ArtifactError(
            "every checkpoint here is damaged",
            where=str(checkpoints),
            next="remove that folder to train this run anew, or name another with output=...",
        )
    return found


def take_up(trainer: Trainer, folder: Path) -> None:
    """Go on from a checkpoint: weights, optimizer, generators, reference, and how far it had come.

    The main process reads it and tells the others, which may be on machines that do not see the folder.

    Raises:
        ArtifactError: the checkpoint is of another run.
    """
    policy, processes = trainer.source.policy, trainer.processes
    saved = _shared(processes, load_state(folder) if processes.is_main else None)
    _refuse_other_origins(saved.state["origins"], trainer.origins, folder)
    if processes.is_main or policy.trains_in_parts:
        restore_weights(policy, folder if processes.is_main else None)
    if not policy.trains_in_parts:
        processes.copy_from_main(policy.trainable_parameters())
    state = _below(saved.tensors, "optimizer")
    if trainer.zero is not None:
        trainer.zero.load_state_tensors(state)
    else:
        load_optimizer_tensors(trainer.optimizer, state)
    if trainer.source.reference is not None:
        trainer.source.reference.load_tensors(_below(saved.tensors, "reference"))
    trainer.progress.take_up(saved.state["progress"])
    lost = processes.share(_best_is_whole(folder.parent, saved) if processes.is_main else None)
    if lost is not None:
        trainer.watcher.note(f"{lost}; the best from here on is taken instead")
        trainer.progress.forget_best()
    if trainer.progress.max_row_tokens is not None:
        trainer.row_cost = replace(trainer.row_cost, max_tokens=trainer.progress.max_row_tokens)
    if processes.is_main:
        discard_newer(trainer.folder.checkpoints, trainer.progress.step)
        progress = trainer.progress
        if num_missing := trainer.folder.truncate_metrics(progress.step, progress.last_evaluated):
            trainer.watcher.note(f"metrics.jsonl lacks {num_missing} of the {progress.step} steps before")
    if len(saved.state["random"]) == processes.size:
        plain = saved.state["random"][processes.rank]
        tensors = _below(saved.tensors, f"random.{processes.rank}")
        RandomState(tensors, plain).restore(policy.device)
    else:
        trainer.watcher.note(
            f"{folder.name} was written by {len(saved.state['random'])} processes, these are "
            f"{processes.size}: dropout will fall elsewhere than it would have"
        )


def _shared(processes: Processes, saved: SavedState | None) -> SavedState:
    step, state = processes.share((saved.step, saved.state) if saved is not None else (0, {}))
    return SavedState(step, processes.share_tensors(saved.tensors if saved is not None else {}), state)


def _refuse_other_origins(then: Mapping[str, str], now: Mapping[str, str], folder: Path) -> None:
    differing = [name for name in now if then.get(name) != now[name]]
    if differing:
        raise ArtifactError(
            f"{' and '.join(differing)} changed since this checkpoint was written",
            where=str(folder),
            why="to go on would make a run that no recipe describes",
            next="bring back what there was, or name another folder with output=... to train anew",
        )


def _tensors(trainer: Trainer, random: list[RandomState]) -> dict[str, Tensor]:
    reference, zero = trainer.source.reference, trainer.zero
    parts: dict[str, Mapping[str, Tensor]] = {
        "optimizer": zero.state_tensors() if zero is not None else optimizer_tensors(trainer.optimizer),
        "reference": reference.tensors() if reference is not None else {},
    }
    parts |= {f"random.{rank}": state.tensors for rank, state in enumerate(random)}
    return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def _state(trainer: Trainer, random: list[RandomState]) -> dict[str, Any]:
    return {
        "progress": trainer.progress.as_dict(),
        "origins": dict(trainer.origins),
        "random": [state.plain for state in random],
    }


def _below(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    start = f"{part}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def _best_is_whole(checkpoints: Path, saved: SavedState) -> str | None:
    """Why a run that goes on from here would miss its best checkpoint; None where it would not."""
    best = saved.state["progress"]["best_step"]
    if best is None or best == saved.step:
        return None
    problems = verify_checkpoint(checkpoint_folder(checkpoints, best))
    return f"its best checkpoint, of step {best}: {problems[0]}" if problems else None
