"""Trained weights back into a policy that stands as it did when training began."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from palate.engine.policy import Policy
from palate.errors import ArtifactError

__all__ = ["restore_weights"]


def restore_weights(policy: Policy, folder: Path) -> None:
    """Take up what `Policy.save_weights` left in `folder`, bit for bit.

    Raises:
        ArtifactError: it does not hold exactly the tensors that this policy trains.
    """
    if policy.has_adapter:
        _restore_adapter(policy, folder)
    else:
        _restore_whole(policy, folder)


def _restore_adapter(policy: Policy, folder: Path) -> None:
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    found = load_file(folder / "adapter_model.safetensors")
    wanted = get_peft_model_state_dict(policy.model, save_embedding_layers=False)
    _refuse_other_tensors(wanted, found, folder)
    set_peft_model_state_dict(policy.model, found)


def _restore_whole(policy: Policy, folder: Path) -> None:
    # Through the library that wrote it, which renames some models' tensors on the way.
    kind: Any = type(policy.base_model)
    saved: nn.Module = kind.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    found, wanted = dict(saved.named_parameters()), dict(policy.base_model.named_parameters())
    _refuse_other_tensors(wanted, found, folder)
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(found[name])


def _refuse_other_tensors(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], folder: Path) -> None:
    differing = sorted(
        name
        for name in wanted.keys() | found.keys()
        if name not in wanted or name not in found or wanted[name].shape != found[name].shape
    )
    if differing:
        raise ArtifactError(
            "this checkpoint is of another model",
            where=str(folder),
            why=f"{len(differing)} tensors differ, the first of them {differing[0]}",
            next="name another output folder to train anew",
        )
