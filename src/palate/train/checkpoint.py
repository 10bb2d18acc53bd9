"""Weights on disk, whole or not at all.

A checkpoint is written into a hidden folder, given a manifest with sizes and hashes, flushed, and renamed in
one step. safetensors and JSON only: nothing in it can run code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from palate.engine import Policy
from palate.errors import ArtifactError

__all__ = ["checkpoint_folder", "prune_checkpoints", "publish_best", "save_checkpoint"]


def checkpoint_folder(checkpoints: Path, step: int) -> Path:
    """Where the checkpoint of a step stands."""
    return checkpoints / f"step-{step:06d}"


def save_checkpoint(policy: Policy, checkpoints: Path, step: int) -> Path:
    """Write the trained weights of `step`; an existing checkpoint of that step is left as it is."""
    final = checkpoint_folder(checkpoints, step)
    if final.exists():
        return final
    temporary = final.with_name(f".{final.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _write_weights(policy, temporary)
        _write_manifest(temporary, step)
        _flush(temporary)
        temporary.rename(final)
        _flush_folder(checkpoints)
    except (OSError, SafetensorError) as error:
        raise _unwritten(final, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def publish_best(checkpoints: Path, step: int, target: Path) -> None:
    """Copy a checkpoint's weights to where the run's result is looked for."""
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        shutil.copytree(
            checkpoint_folder(checkpoints, step), temporary, ignore=shutil.ignore_patterns("manifest.json")
        )
        _flush(temporary)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
        _flush_folder(target.parent)
    except OSError as error:
        raise _unwritten(target, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def prune_checkpoints(checkpoints: Path, keep: int, best_step: int | None) -> None:
    """Remove all but the `keep` newest and the best."""
    steps = sorted(int(folder.name.removeprefix("step-")) for folder in checkpoints.glob("step-*"))
    for step in steps[:-keep]:
        if step != best_step:
            shutil.rmtree(checkpoint_folder(checkpoints, step))


def _unwritten(folder: Path, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"the weights could not be written: {error}",
        where=str(folder),
        next="free some space; checkpoints that stand there already are whole",
    )


def _write_weights(policy: Policy, folder: Path) -> None:
    if not policy.has_adapter:
        policy.causal_lm.save_pretrained(folder)
        policy.tokenizer.save_pretrained(folder)
        return
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    # save_embedding_layers looks the base up on the Hub when it is to decide for itself.
    state = get_peft_model_state_dict(policy.model, save_embedding_layers=False)
    save_file(
        {name: _detached(tensor) for name, tensor in state.items()}, folder / "adapter_model.safetensors"
    )
    config: Any = policy.model.peft_config["default"]  # type: ignore[index]
    config.inference_mode = True  # what peft expects of an adapter that is loaded to be used
    config.base_model_name_or_path = policy.source
    config.revision = policy.revision
    config.save_pretrained(folder)
    config.inference_mode = False


def _detached(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().contiguous()


def _write_manifest(folder: Path, step: int) -> None:
    files = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            files[str(file.relative_to(folder))] = {"bytes": file.stat().st_size, "sha256": digest}
    text = json.dumps({"step": step, "files": files}, indent=2)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def _flush(folder: Path) -> None:
    """Have every file and folder on disk before the rename that makes them visible."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
