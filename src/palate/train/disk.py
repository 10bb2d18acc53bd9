"""How many bytes a run writes, known before it begins."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import nn

from palate.engine import Branch, Policy
from palate.recipe import Recipe, TrainOptions
from palate.train.batches import BatchPlan
from palate.train.checkpoint import require_space
from palate.train.run_folder import RunFolder
from palate.train.schedule import checkpoint_steps, evaluation_steps

__all__ = [
    "checkpoint_bytes_needed",
    "num_checkpoints_held",
    "optimizer_bytes",
    "reference_cache_bytes",
    "require_room",
    "run_bytes_needed",
    "weights_bytes",
    "written_bytes",
]

# safetensors' header names every tensor with its dtype, shape and place, in about as many bytes.
_HEADER_BYTES = 160
# Generators' state, plain values and the manifest.
_STATE_BYTES = 24_000
# bitsandbytes: moments of matrices of fewer numbers stay in fp32; else one byte each, with an fp32 scale for
# every 256 and two tables of 256 fp32 numbers (Dettmers et al. 2021, arXiv:2110.02861).
_SMALLEST_8BIT, _BLOCK_8BIT, _TABLES_8BIT = 4096, 256, 2 * 256 * 4
# What sqlite adds to a row of the reference cache: the key of 32 bytes, a checksum, lengths and page slack.
_CACHE_ROW_BYTES, _CACHE_SLACK = 48, 1.3
# Its write-ahead log, up to its checkpoint of 1000 pages of 4 KiB.
_CACHE_LOG_BYTES = 4_200_000


def weights_bytes(policy: Policy) -> int:
    """What a checkpoint's weights take: an adapter's file, or a whole model's with its tokenizer."""
    if policy.has_adapter:
        kept = policy.trainable_parameters()
        return _stored(kept)
    kept = list(policy.base_model.parameters())
    texts = (file for file in policy.folder.iterdir() if file.suffix in {".json", ".jinja", ".model", ".txt"})
    return _stored(kept) + sum(file.stat().st_size for file in texts if "index" not in file.name)


def optimizer_bytes(policy: Policy, options: TrainOptions) -> int:
    """What the optimizer's state takes: two moments of every trained number, in fp32 or in eight bits."""
    parameters = policy.trainable_parameters()
    if not options.optimizer.endswith("8bit"):
        return sum(8 * parameter.numel() + 4 for parameter in parameters)
    return sum(_state_of_8bit(parameter.numel()) for parameter in parameters)


def _state_of_8bit(size: int) -> int:
    if size < _SMALLEST_8BIT:
        return 8 * size
    return 2 * (size + 4 * -(-size // _BLOCK_8BIT)) + _TABLES_8BIT


def checkpoint_bytes_needed(
    policy: Policy, options: TrainOptions, *, following_reference: bool = False
) -> int:
    """What one checkpoint takes on disk: weights, optimizer, the reference where it follows, and the rest."""
    parameters = policy.trainable_parameters()
    reference = _stored(parameters) if following_reference else 0
    names = 3 * _HEADER_BYTES * len(parameters)
    return weights_bytes(policy) + optimizer_bytes(policy, options) + names + reference + _STATE_BYTES


def num_checkpoints_held(plan: BatchPlan, options: TrainOptions, num_held_out: int) -> int:
    """The most that are on disk at once: the newest, the best, and the one that is being written."""
    evaluations = evaluation_steps(plan, options, num_held_out)
    written = {*checkpoint_steps(plan, options), *evaluations}
    return min(len(written), options.keep_checkpoints + bool(evaluations) + 1)


def run_bytes_needed(policy: Policy, recipe: Recipe, plan: BatchPlan, num_held_out: int) -> int:
    """What a run's checkpoints and its result take on disk at the most."""
    follows = recipe.objective.needs_reference and recipe.reference.sync_every is not None
    one = checkpoint_bytes_needed(policy, recipe.train, following_reference=follows)
    return num_checkpoints_held(plan, recipe.train, num_held_out) * one + weights_bytes(policy)


def require_room(
    folder: RunFolder, policy: Policy, recipe: Recipe, plan: BatchPlan, num_held_out: int
) -> None:
    """Refuse a run whose checkpoints and result will not fit beside what it has written already.

    Raises:
        ArtifactError: the disk has no room for them.
    """
    needed = run_bytes_needed(policy, recipe, plan, num_held_out) - written_bytes(folder.checkpoints)
    require_space(
        folder.path,
        max(0, needed),
        "what this run keeps in checkpoints and result",
        "choose a folder on another disk, or lower train.keep_checkpoints",
    )


def reference_cache_bytes(branches: Iterable[Branch]) -> int:
    """By how much the reference cache grows where it has none of these completions yet."""
    rows = sum(_CACHE_ROW_BYTES + 4 * branch.num_scored for branch in branches)
    return int(rows * _CACHE_SLACK) + _CACHE_LOG_BYTES if rows else 0


def written_bytes(folder: Path) -> int:
    """What is in a folder already."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _stored(parameters: Iterable[nn.Parameter]) -> int:
    return sum(p.numel() * p.element_size() + _HEADER_BYTES for p in parameters)
