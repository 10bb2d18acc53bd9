"""Layers computed again in the backward pass: the same gradients from less memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from saved_tensors import bytes_saved
from tiny_folder import save_tiny
from tiny_models import awaken_adapter, tiny_branches
from torch import Tensor
from transformers import LlamaForCausalLM

from palate.engine import Policy, branch_logps, load_policy, prove_layout
from palate.errors import ModelError
from palate.recipe import ModelOptions

BRANCHES = tiny_branches("forest")
ADAPTERS: dict[str, Any] = {
    "lora": {"rank": 4},
    "lora with dropout": {"rank": 4, "dropout": 0.4},
    "full": None,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    names = ("llama", "qwen2-sliding", "gemma2", "gemma3")
    return {name: save_tiny(tmp_path_factory.mktemp(name), name) for name in names}


def policy_of(folder: Path, adapter: Any, *, again: bool, **changes: Any) -> Policy:
    options = ModelOptions.model_validate({"base": str(folder), "adapter": adapter} | changes)
    policy = load_policy(options, gradient_checkpointing=again)
    awaken_adapter(policy.model)
    return policy


def forward_and_backward(policy: Policy, layout: Any) -> tuple[Tensor, Tensor]:
    torch.manual_seed(7)
    logps = branch_logps(policy, BRANCHES, layout).per_token_logps_S
    (logps * torch.sin(torch.arange(len(logps), dtype=torch.float32))).sum().backward()
    grads = [p.grad.flatten() for p in policy.trainable_parameters() if p.grad is not None]
    assert len(grads) == len(policy.trainable_parameters())
    return logps.detach(), torch.cat(grads)


@pytest.mark.parametrize("layout", ["tree", "padded", "own_logits"])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_same_to_the_last_bit(folders: dict[str, Path], adapter: str, layout: str) -> None:
    """Dropout included: it is drawn again as it was."""
    plain, again = (
        forward_and_backward(policy_of(folders["llama"], ADAPTERS[adapter], again=again), layout)
        for again in (False, True)
    )
    assert torch.equal(again[0], plain[0])
    assert torch.equal(again[1], plain[1])


@pytest.mark.parametrize("name", ["qwen2-sliding", "gemma2", "gemma3"])
def test_masks_per_kind_of_layer(folders: dict[str, Path], name: str) -> None:
    plain, again = (
        forward_and_backward(policy_of(folders[name], {"rank": 4}, again=again), "tree")
        for again in (False, True)
    )
    assert torch.equal(again[0], plain[0])
    assert torch.equal(again[1], plain[1])


@pytest.mark.parametrize("changes", [{"dtype": "bfloat16"}, {"quantization": {}}, {"attention": "eager"}])
def test_other_ways_to_hold_and_compute(folders: dict[str, Path], changes: dict[str, Any]) -> None:
    plain, again = (
        forward_and_backward(policy_of(folders["llama"], {"rank": 4}, again=again, **changes), "tree")
        for again in (False, True)
    )
    assert torch.equal(again[0], plain[0])
    assert torch.equal(again[1], plain[1])


def test_dropout_is_drawn_at_all(folders: dict[str, Path]) -> None:
    """Else the test above would compare nothing."""
    policy = policy_of(folders["llama"], ADAPTERS["lora with dropout"], again=True)
    first = forward_and_backward(policy, "tree")[0]
    torch.manual_seed(8)
    assert not torch.equal(branch_logps(policy, BRANCHES).per_token_logps_S, first)


def test_the_proof_and_the_reference_are_unmoved(folders: dict[str, Path]) -> None:
    plain, again = (policy_of(folders["llama"], {"rank": 4}, again=again) for again in (False, True))
    assert prove_layout(again, BRANCHES) == prove_layout(plain, BRANCHES)
    expected = None
    for policy in (plain, again):
        with policy.as_reference():
            logps = branch_logps(policy, BRANCHES).per_token_logps_S
        assert expected is None or torch.equal(logps, expected)
        expected = logps


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_deep_model_keeps_little_more_than_its_layers_inputs(tmp_path: Path, adapter: str) -> None:
    """Sixteen layers: an input of 4 bytes x 64 a token and layer, and what the head keeps."""
    width = {"hidden_size": 64, "intermediate_size": 172, "head_dim": 16, "num_hidden_layers": 16}
    folder = save_tiny(tmp_path, **width)
    kept = {}
    for again in (False, True):
        policy = policy_of(folder, ADAPTERS[adapter], again=again)
        num_nodes = branch_logps(policy, BRANCHES).num_computed
        kept[again] = bytes_saved(lambda: branch_logps(policy, BRANCHES).per_token_logps_S, policy.model)  # noqa: B023
        inputs = 16 * num_nodes * 64 * 4
    assert kept[True] < kept[False] / 6
    assert inputs <= kept[True] < 2 * inputs


def test_a_model_that_cannot(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LlamaForCausalLM, "supports_gradient_checkpointing", False)
    with pytest.raises(ModelError, match="cannot compute its layers again"):
        policy_of(folders["llama"], {"rank": 4}, again=True)
