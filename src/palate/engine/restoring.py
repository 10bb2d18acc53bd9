"""Trained weights back into a policy that stands as it did when training began."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from palate.engine.policy import Policy
from palate.engine.sharding import divided_from_main, whole_kind
from palate.errors import ArtifactError

__all__ = ["restore_weights"]


def restore_weights(policy: Policy, folder: Path | None) -> None:
    """Take up what `Policy.save_weights` left in `folder`, bit for bit.

    A policy that is trained in parts takes its own from the process of rank 0: all have to call this, and
    only that one needs a folder.

    Raises:
        ArtifactError: it does not hold exactly the tensors that this policy trains.
    """
    if policy.trains_in_parts:
        _restore_parts(policy, folder)
    elif folder is None:
        raise ValueError("a policy that is not trained in parts is restored from a folder")
    elif policy.has_adapter:
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
    found, wanted = _saved_weights(policy, folder), dict(policy.base_model.named_parameters())
    _refuse_other_tensors(wanted, found, folder)
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(found[name])


def _restore_parts(policy: Policy, folder: Path | None) -> None:
    policy.trainable_parameters()  # lets go of gathered weights: what follows are the parts
    wanted = dict(policy.base_model.named_parameters())
    found = _saved_weights(policy, folder) if folder is not None else None
    if found is not None and folder is not None:
        _refuse_other_tensors(wanted, found, folder)
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(divided_from_main(parameter, found[name] if found is not None else None))


def _saved_weights(policy: Policy, folder: Path) -> dict[str, Tensor]:
    # Through the library that wrote it, which renames some models' tensors on the way.
    kind: Any = whole_kind(policy.base_model)
    saved: nn.Module = kind.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    return dict(saved.named_parameters())


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
