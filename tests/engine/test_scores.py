"""Scores at the leaves are those of transformers' own sequence classification, and so are their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES, branch, tiny_branches, tiny_config, tiny_model, tiny_policy
from tiny_reward import own_scores, tiny_reward_model
from torch import Tensor

from palate.engine import Branch, Layout, Policy, branch_logps, branch_scores, forward, prove_scores
from palate.engine.proof import score_tolerance
from palate.engine.scores import own_forward_scores
from palate.errors import ModelError
from palate.recipe import LoraOptions

LAYOUTS: list[Layout] = ["tree", "padded"]
KINDS = ["single", "pairs", "group", "forest"]
KERNELS = [
    (name, attention)
    for name in ARCHITECTURES
    for attention in ("sdpa", "eager")
    if (name, attention) != ("gemma2", "sdpa")  # sdpa leaves out Gemma 2's soft cap
]


def gradient(policy: Policy, scores_B: Tensor) -> Tensor:
    """Of a weighted sum, as every loss on scores makes one: signs differ between branches."""
    weights = torch.linspace(-1, 1, len(scores_B) + 1)[1:].to(scores_B)
    grads = torch.autograd.grad((scores_B * weights).sum(), policy.trainable_parameters())
    return torch.cat([grad.flatten().double() for grad in grads])


def assert_same(
    policy: Policy, branches: Sequence[Branch], layout: Layout, value: float = 1e-5, grad: float = 1e-5
) -> None:
    expected, ours = own_scores(policy, branches), branch_scores(policy, branches, layout).scores_B
    assert ours.dtype == torch.float32 and ours.shape == (len(branches),)
    assert (ours - expected).abs().max() <= value
    expected_grad, our_grad = gradient(policy, expected), gradient(policy, ours)
    assert expected_grad.norm() > 1, "nothing to compare"
    assert (our_grad - expected_grad).norm() / expected_grad.norm() <= grad


@pytest.mark.parametrize(("name", "attention"), KERNELS)
@pytest.mark.parametrize("adapter", [None, LoraOptions(rank=4)], ids=["full", "lora"])
def test_tree_and_padded_equal_the_model_itself(
    name: str, attention: str, adapter: LoraOptions | None
) -> None:
    policy = tiny_policy(tiny_reward_model(name, attention), adapter, attention=attention)
    for kind in KINDS:
        for layout in LAYOUTS:
            assert_same(policy, tiny_branches(kind), layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gpt2_has_a_forward_pass_of_its_own(layout: Layout) -> None:
    policy = tiny_policy(tiny_reward_model("gpt2", n_embd=32, n_head=4), LoraOptions(rank=4))
    assert_same(policy, tiny_branches("forest"), layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_double_precision_only_the_result_is_rounded(layout: Layout) -> None:
    policy = tiny_policy(tiny_reward_model("llama", dtype=torch.float64), LoraOptions(rank=4))
    policy.model.double()
    assert_same(policy, tiny_branches("forest"), layout, value=1e-6, grad=1e-7)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_gradient_is_the_slope(layout: Layout) -> None:
    """Central differences of the model's own scores: independent of every derivative.

    In float64, of GPT-2: most other families take their norms in fp32 whatever the model is in.
    """
    model = tiny_reward_model("gpt2", dtype=torch.float64, n_embd=32, n_head=4, n_layer=2)
    policy = tiny_policy(model, LoraOptions(rank=2))
    policy.model.double()
    branches, step = tiny_branches("forest"), 1e-6
    names = ["score.modules_to_save.default.weight", "h.0.attn.c_attn.lora_A", "h.1.mlp.c_fc.lora_B"]
    for name in names:
        (weight,) = (p for n, p in policy.model.named_parameters() if name in n)
        scores = branch_scores(policy, branches, layout).scores_B
        signs = torch.linspace(-1, 1, len(scores) + 1, dtype=torch.float64)[1:]
        (grad,) = torch.autograd.grad((scores * signs).sum(), weight)
        for place in range(0, weight.numel(), weight.numel() // 5):
            moved = []
            for sign in (1, -1):
                weight.data.view(-1)[place] += sign * step
                with torch.no_grad():
                    moved.append((own_scores(policy, branches) * signs).sum())
                weight.data.view(-1)[place] -= sign * step
            slope = (moved[0] - moved[1]) / (2 * step)
            assert abs(grad.view(-1)[place] - slope) < 1e-6 * max(1, abs(slope))


def test_a_branch_that_is_there_twice_or_begins_another_costs_nothing() -> None:
    """Nodes: prompt 3 and completions of 4, of its first 2, of all 4 again, and of 1 other."""
    prompt, completion = [5, 6, 7], [8, 9, 10, 11]
    branches = [
        branch(prompt, completion),
        branch(prompt, completion[:2]),
        branch(prompt, completion),
        branch(prompt, [12]),
    ]
    policy = tiny_policy(tiny_reward_model("llama"))
    result = branch_scores(policy, branches)
    scores = result.scores_B
    assert (result.num_computed, result.num_represented) == (3 + 4 + 1, 7 + 5 + 7 + 4)
    assert scores[0] == scores[2]
    assert len(set(scores.tolist())) == 3
    # Two that are one pull twice.
    twice, once = (
        torch.autograd.grad(scores[i].sum(), policy.score_head.weight, retain_graph=True)[0]
        for i in ([0, 2], [0])
    )
    torch.testing.assert_close(twice, 2 * once)
    padded = branch_scores(policy, branches, "padded")
    assert (padded.num_computed, padded.num_represented) == (4 * 7, 23)


def test_the_score_is_read_where_transformers_reads_it() -> None:
    """At the last token that is not padding, also where padding is what ends an answer."""
    policy = tiny_policy(tiny_reward_model("llama", pad_token_id=2))  # 2 is the end token
    ended, open_ended = branch([5, 2, 6], [7, 2, 8, 2, 2]), branch([5, 2, 6], [7, 2, 8])
    for layout in LAYOUTS:
        scores = branch_scores(policy, [ended, open_ended], layout).scores_B
        assert scores[0] == scores[1]
        assert_same(policy, [ended, *tiny_branches("pairs")], layout)
    with pytest.raises(ValueError, match="at least one scored token"):
        branch_scores(policy, [branch([5, 6], [2])])


def test_without_padding_every_token_is_read() -> None:
    policy = tiny_policy(tiny_reward_model("llama", pad_token_id=None))
    for layout in LAYOUTS:
        assert_same(policy, [branch([5, 6], [7, 2]), branch([5, 6], [7])], layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["llama", "qwen2-sliding", "gemma3"])
def test_over_a_bf16_base_the_head_stays_in_fp32(name: str, layout: Layout) -> None:
    policy = tiny_policy(tiny_reward_model(name, dtype=torch.bfloat16), LoraOptions(rank=4))
    assert {p.dtype for p in policy.trainable_parameters()} == {torch.float32}
    with policy.autocast():
        assert not torch.is_autocast_enabled("cpu")  # the head alone is no reason for it
    scores = branch_scores(policy, tiny_branches("forest"), layout).scores_B
    own, _ = own_forward_scores(policy, tiny_branches("forest"))
    assert scores.dtype == torch.float32
    assert (scores - own).abs().max() < 0.1
    assert gradient(policy, scores).norm() > 1
    assert prove_scores(policy, tiny_branches("forest"), layout).layout == layout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_full_fine_tuning_in_bf16_over_fp32_weights(layout: Layout) -> None:
    policy = tiny_policy(tiny_reward_model("llama"), compute_dtype=torch.bfloat16)
    branches = tiny_branches("forest")
    with policy.autocast():
        assert torch.is_autocast_enabled("cpu")
    scores = branch_scores(policy, branches, layout).scores_B
    expected = own_scores(policy, branches)
    assert scores.dtype == torch.float32
    assert 0 < (scores - expected).abs().max() < 0.1
    expected_grad = gradient(policy, expected)
    assert (gradient(policy, scores) - expected_grad).norm() / expected_grad.norm() < 0.1
    assert prove_scores(policy, branches, layout).layout == layout


def test_without_gradient() -> None:
    policy = tiny_policy(tiny_reward_model("llama"), LoraOptions(rank=4, dropout=0.5))
    policy.model.train()
    with policy.evaluating():
        scores = branch_scores(policy, tiny_branches("forest")).scores_B
    assert not scores.requires_grad
    policy.model.eval()
    assert torch.equal(branch_scores(policy, tiny_branches("forest")).scores_B, scores)


def test_the_reference_is_the_base_and_the_head_it_came_with() -> None:
    policy = tiny_policy(tiny_reward_model("llama"), LoraOptions(rank=4))
    policy.base_model.score.modules_to_save["default"].weight.data.add_(1)
    with policy.as_reference():
        ours = branch_scores(policy, tiny_branches("pairs")).scores_B
    base = tiny_policy(tiny_reward_model("llama"))
    assert (ours - own_scores(base, tiny_branches("pairs"))).abs().max() <= 1e-5
    assert (ours - branch_scores(policy, tiny_branches("pairs")).scores_B).abs().min() > 0.1


def test_what_a_model_is_not_it_says() -> None:
    reward, language = tiny_policy(tiny_reward_model("llama")), tiny_policy(tiny_model(tiny_config("llama")))
    branches = tiny_branches("pairs")
    with pytest.raises(ValueError, match="no score head"):
        branch_scores(language, branches)
    for layout in (*LAYOUTS, "own_logits"):
        with pytest.raises(ValueError, match="is a reward model"):
            branch_logps(reward, branches, layout)
    with pytest.raises(ValueError, match="own_logits"):
        branch_scores(reward, branches, "own_logits")
    assert reward.is_reward_model and not language.is_reward_model


@pytest.mark.parametrize("kind", KINDS)
def test_the_proof_of_a_reward_model(kind: str) -> None:
    policy = tiny_policy(tiny_reward_model("llama"), LoraOptions(rank=4))
    policy.model.train()
    for wanted in LAYOUTS:
        proof = prove_scores(policy, tiny_branches(kind), wanted)
        assert proof.layout == wanted
        assert proof.max_abs_difference <= 1e-5
        assert "agrees" in proof.note
    assert policy.model.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "mistral-sliding", "gemma3"])
@pytest.mark.parametrize("size", [1.0, 1e-3, 1e3])
def test_a_wrong_mask_is_found_out_however_large_scores_are(
    dtype: torch.dtype, name: str, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tiny_policy(tiny_reward_model(name, dtype=dtype))
    policy.base_model.score.weight.data.mul_(size)
    branches = [*tiny_branches("pairs"), *tiny_branches("pairs", seed=1)]
    assert prove_scores(policy, branches).layout == "tree"

    def causal_only(tree: Any, config: Any, attention: str, dtype: torch.dtype) -> Tensor:
        return torch.ones(tree.num_nodes, tree.num_nodes, dtype=torch.bool).tril()[None, None]

    monkeypatch.setattr(forward, "model_mask", causal_only)
    proof = prove_scores(policy, branches)
    assert proof.layout == "padded"
    assert "off by" in proof.note and "completion" in proof.note


def test_a_recurrent_model_is_scored_in_padded_rows() -> None:
    model = tiny_reward_model(
        "jamba", "eager", num_experts=2, mamba_d_state=4, mamba_dt_rank=4, use_mamba_kernels=False
    )
    policy = tiny_policy(model, attention="eager")
    proof = prove_scores(policy, tiny_branches("forest"))
    assert proof.layout == "padded"
    assert "state" in proof.note


def test_scores_that_are_no_numbers_are_refused() -> None:
    model = tiny_reward_model("llama")
    model.score.weight.data[0, 3] = float("nan")
    with pytest.raises(ModelError, match="scores do not agree") as caught:
        prove_scores(tiny_policy(model), tiny_branches("pairs"))
    assert "padded: off by inf" in caught.value.why


def test_narrower_numbers_have_the_wider_tolerance() -> None:
    for place in (0, 1):
        limits = [score_tolerance(t)[place] for t in (torch.float32, torch.float16, torch.bfloat16)]
        assert limits == sorted(limits) and len(set(limits)) == 3
