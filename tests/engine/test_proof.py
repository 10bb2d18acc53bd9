from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_models import VOCABULARY, tiny_branches, tiny_config, tiny_model, tiny_policy
from torch import Tensor, nn

from palate.engine import LayoutProof, Policy, branch_logps, own_forward_logps, prove_layout
from palate.engine import proof as proof_module
from palate.engine.proof import tolerance
from palate.errors import ModelError
from palate.recipe import LoraOptions

# Models whose layers hand a state from token to token, small enough for a CPU.
RECURRENT = {
    "mamba": {"state_size": 4, "num_hidden_layers": 2},
    "mamba2": {
        "num_heads": 8,
        "head_dim": 8,
        "state_size": 8,
        "n_groups": 1,
        "expand": 2,
        "chunk_size": 8,
        "num_hidden_layers": 2,
    },
    "falcon_mamba": {"state_size": 4, "num_hidden_layers": 2},
    "qwen3_next": {
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    },
}


def assert_right(policy: Policy, proof: LayoutProof, limit: float = 1e-4) -> None:
    """Whatever layout was chosen, another batch comes out as the model's own forward pass has it."""
    branches = tiny_branches("forest", seed=9)
    ours = branch_logps(policy, branches, proof.layout).sums()
    assert (ours - own_forward_logps(policy, branches).sums()).abs().max() <= limit


@pytest.mark.parametrize("kind", ["single", "pairs", "group", "forest"])
def test_an_attention_model_uses_the_tree(kind: str) -> None:
    policy = tiny_policy(tiny_model(tiny_config("llama")), LoraOptions(rank=4))
    policy.model.train()
    proof = prove_layout(policy, tiny_branches(kind))
    assert proof.layout == "tree"
    assert proof.max_abs_difference <= 1e-4
    assert "agrees" in proof.note
    assert policy.model.training


def test_the_recipe_may_ask_for_the_padded_layout() -> None:
    proof = prove_layout(tiny_policy(tiny_model(tiny_config("llama"))), tiny_branches("pairs"), "padded")
    assert proof.layout == "padded"
    assert "cannot" not in proof.note


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("kind", ["single", "forest"])
def test_a_recurrent_model_falls_back_and_says_so(name: str, kind: str) -> None:
    """Even on a single branch, where the tree would agree by luck."""
    attention = "sdpa" if name == "qwen3_next" else "eager"
    model = tiny_model(tiny_config(name, **RECURRENT[name]), attention)
    adapter = LoraOptions(rank=2)
    policy = tiny_policy(model, adapter, attention=attention)
    assert adapter == LoraOptions(rank=2), "peft changed the recipe"
    proof = prove_layout(policy, tiny_branches(kind))
    assert proof.layout == "padded"
    branch_logps(policy, tiny_branches(kind), proof.layout).sums().sum().backward()
    assert any(p.grad is not None and p.grad.norm() > 0 for p in policy.trainable_parameters())
    assert proof.note.startswith("this model cannot use the tree")
    assert "state" in proof.note
    assert_right(policy, proof)


def test_layers_with_an_unknown_kind_of_attention_fall_back() -> None:
    """Llama 4 cuts some layers' attention into chunks; a batch shorter than one would not show it."""
    config = tiny_config(
        "llama4_text",
        attention_chunk_size=64,
        num_local_experts=2,
        intermediate_size_mlp=48,
        num_experts_per_tok=1,
    )
    policy = tiny_policy(tiny_model(config))
    proof = prove_layout(policy, tiny_branches("pairs"))
    assert proof.layout != "tree"
    assert "chunked_attention" in proof.note
    assert_right(policy, proof)


def test_positions_read_off_the_mask_fall_back() -> None:
    """MPT takes distances from indices, where siblings stand between a token and its ancestors."""
    policy = tiny_policy(
        tiny_model(tiny_config("mpt", d_model=32, n_heads=4, n_layers=2), "eager"), attention="eager"
    )
    proof = prove_layout(policy, tiny_branches("forest"))
    assert proof.layout == "padded"
    assert "off by" in proof.note
    assert_right(policy, proof)


class OddHead(nn.Module):
    """A model that adds something to its logits that no config field tells of."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.config, self.dtype = inner.config, inner.dtype
        self.extra = torch.linspace(-2, 2, VOCABULARY)

    def get_decoder(self) -> nn.Module:
        return self.inner.get_decoder()

    def get_output_embeddings(self) -> nn.Module:
        return self.inner.get_output_embeddings()

    def forward(self, **inputs: Any) -> Any:
        output = self.inner(**inputs)
        output.logits = self.alter(output.logits, inputs["input_ids"])
        return output

    def alter(self, logits: Tensor, input_ids: Tensor) -> Tensor:
        return logits + self.extra


def test_logits_that_the_head_does_not_know_are_left_to_the_model() -> None:
    policy = tiny_policy(OddHead(tiny_model(tiny_config("llama"))))
    proof = prove_layout(policy, tiny_branches("group"))
    assert proof.layout == "own_logits"
    assert "own forward" in proof.note
    assert_right(policy, proof)


def test_a_model_that_is_never_the_same_is_refused() -> None:
    """Its own logits depend on how the batch is padded: nothing computed here could be trusted."""

    class Inconsistent(OddHead):
        def alter(self, logits: Tensor, input_ids: Tensor) -> Tensor:
            return logits * (1 + len(input_ids))

    with pytest.raises(ModelError, match="do not agree") as caught:
        prove_layout(tiny_policy(Inconsistent(tiny_model(tiny_config("llama")))), tiny_branches("pairs"))
    assert "own_logits: off by" in caught.value.why
    assert "eager" in caught.value.next


def test_logits_that_are_no_numbers_are_refused() -> None:
    model = tiny_model(tiny_config("llama"))
    with torch.no_grad():
        model.lm_head.weight[5] = float("nan")
    with pytest.raises(ModelError, match="do not agree"):
        prove_layout(tiny_policy(model), tiny_branches("pairs"))


def test_running_out_of_memory_is_no_proof_of_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(proof_module, "branch_logps", full)
    with pytest.raises(torch.OutOfMemoryError):
        prove_layout(tiny_policy(tiny_model(tiny_config("llama"))), tiny_branches("pairs"))


@pytest.mark.parametrize("name", ["llama", "gemma3", "qwen2-sliding"])
def test_bf16_passes_and_a_wrong_mask_in_bf16_does_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tolerance for bf16 is wide; it is not so wide that siblings may see each other."""
    from palate.engine import forward

    policy = tiny_policy(tiny_model(tiny_config(name), dtype=torch.bfloat16))
    assert prove_layout(policy, tiny_branches("pairs")).layout == "tree"

    def causal_only(tree: Any, config: Any, attention: str, dtype: torch.dtype) -> Tensor:
        return torch.ones(tree.num_nodes, tree.num_nodes, dtype=torch.bool).tril()[None, None]

    monkeypatch.setattr(forward, "model_mask", causal_only)
    proof = prove_layout(policy, tiny_branches("pairs"))
    assert proof.layout == "padded"
    assert "off by" in proof.note


def test_one_token_may_be_off_further_than_all_of_them() -> None:
    small, one, all_of_them = torch.full((1000,), 0.04), torch.zeros(1000), torch.full((1000,), 0.1)
    one[7] = -0.4
    agrees = [proof_module._within(d, tolerance(torch.bfloat16)) for d in (small, one, all_of_them)]
    assert agrees == [True, False, False]
    assert not proof_module._within(small, tolerance(torch.float32))
    assert not proof_module._within(torch.tensor([0.0, float("nan")]), tolerance(torch.bfloat16))


def test_narrower_numbers_have_the_wider_tolerance() -> None:
    for place in (0, 1):
        limits = [tolerance(dtype)[place] for dtype in (torch.float32, torch.float16, torch.bfloat16)]
        assert limits == sorted(limits) and len(set(limits)) == 3
    # 0.3 of a nat on a single token is allowed in bf16, on all of them it is not.
    assert tolerance(torch.bfloat16)[1] < tolerance(torch.bfloat16)[0] / 5
