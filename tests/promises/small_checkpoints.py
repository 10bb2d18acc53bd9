"""Checkpoints of a few hundred bytes that can be told apart by their step."""

from __future__ import annotations

import random
from pathlib import Path

import torch

from palate import durable
from palate.train.checkpoint import checkpoint_folder, load_state, save_checkpoint, verify_checkpoint

WEIGHTS = "adapter_model.safetensors"


def weights(step: int) -> bytes:
    """What stands for the weights of a step."""
    return random.Random(step).randbytes(300)


def save(checkpoints: Path, step: int, *, note: str = "first", num_floats: int = 40) -> Path:
    """The checkpoint of a step; `note` is in its state."""

    def write(folder: Path) -> None:
        durable.write_part(folder / WEIGHTS, weights(step))
        durable.write_part(folder / "adapter_config.json", b'{"r": 4}\n')

    tensors = {"moments": torch.full((num_floats,), float(step)), "generator": torch.arange(9).byte()}
    return save_checkpoint(checkpoints, step, write, tensors, {"loss": step / 3, "note": note})


def assert_holds(folder: Path, step: int, *, note: str = "first") -> None:
    """It is the checkpoint of this step, whole, and can be used."""
    assert verify_checkpoint(folder) == []
    saved = load_state(folder)
    assert saved.step == step
    assert saved.state == {"loss": step / 3, "note": note}
    assert torch.equal(saved.tensors["moments"], torch.full((40,), float(step)))
    assert (folder / WEIGHTS).read_bytes() == weights(step)


def visible_steps(checkpoints: Path) -> list[int]:
    """The steps a reader sees, each of them whole."""
    steps = sorted(int(f.name.removeprefix("step-")) for f in checkpoints.iterdir() if f.name[0] != ".")
    for step in steps:
        assert verify_checkpoint(checkpoint_folder(checkpoints, step)) == []
    return steps
