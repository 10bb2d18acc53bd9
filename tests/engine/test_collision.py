"""log sum_v pi(v)^2 comes out of the log-probabilities' own softmax, and changes nothing about them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from tiny_models import VOCABULARY, tiny_branches, tiny_config, tiny_model, tiny_policy
from torch import Tensor, nn

from palate.engine import Branch, BranchLogps, Layout, Policy, branch_logps
from palate.engine import head as head_module
from palate.engine.head import LanguageHead
from palate.recipe import LoraOptions

LAYOUTS: list[Layout] = ["tree", "padded", "own_logits"]

HEADS = {
    "frozen": ("llama", LoraOptions(rank=4), {}),
    "trained": ("llama", None, {}),
    "lora on it": ("llama", LoraOptions(rank=4, target_modules=["q_proj", "lm_head"]), {}),
    "soft cap, frozen": ("gemma2", LoraOptions(rank=4), {"final_logit_softcapping": 8.0}),
    "soft cap, trained": ("gemma2", None, {"final_logit_softcapping": 8.0}),
    "multiplied": ("cohere", LoraOptions(rank=4), {"logit_scale": 3.0}),
    "divided": ("granite", LoraOptions(rank=4), {"logits_scaling": 0.25}),
}


def policy_with(kind: str) -> Policy:
    name, adapter, changes = HEADS[kind]
    attention = "eager" if name == "gemma2" else "sdpa"
    model = tiny_model(tiny_config(name, **changes), attention)
    if changes:  # so that these families have opinions too, and the soft cap something to cap
        model.get_output_embeddings().weight.data.mul_(5)
    return tiny_policy(model, adapter, attention=attention)


def plainly(policy: Policy, branches: list[Branch]) -> Tensor:
    """All logits, one branch at a time, the probabilities squared and added up in float64."""
    parts = []
    for branch in branches:
        ids = torch.from_numpy(branch.token_ids)[None]
        with torch.no_grad():
            logits = policy.causal_lm(input_ids=ids, use_cache=False).logits[0, :-1].double()
        collision = (logits.softmax(-1) ** 2).sum(-1).log()
        parts.append(collision[torch.from_numpy(branch.scored)[1:]])
    return torch.cat(parts)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("with_grad", [True, False])
def test_it_is_what_all_logits_say(
    kind: str, layout: Layout, with_grad: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_module, "CHUNK_ELEMENTS", 7 * VOCABULARY)
    policy = policy_with(kind)
    for batch in ("group", "forest"):
        branches = tiny_branches(batch)
        expected = plainly(policy, branches)
        assert expected.max() - expected.min() > 0.5, "nothing to compare"
        with torch.set_grad_enabled(with_grad):
            ours = branch_logps(policy, branches, layout, collision=True)
        assert ours.log_collision_S is not None
        assert ours.log_collision_S.dtype == torch.float32 and not ours.log_collision_S.requires_grad
        assert ours.per_token_logps_S.requires_grad == with_grad
        assert (ours.log_collision_S - expected).abs().max() < 2e-5


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_log_probabilities_and_their_gradient_stay_as_they_are(kind: str, layout: Layout) -> None:
    policy, results = policy_with(kind), []
    for collision in (False, True):
        ours = branch_logps(policy, tiny_branches("forest"), layout, collision=collision)
        assert (ours.log_collision_S is not None) == collision
        grads = torch.autograd.grad(
            ours.sums().sum(), policy.trainable_parameters(), allow_unused=True, materialize_grads=True
        )
        results.append([ours.per_token_logps_S.detach(), *grads])
    assert all(torch.equal(without, with_it) for without, with_it in zip(*results, strict=True))
    assert sum(float(grad.norm()) for grad in results[0][1:]) > 1


def test_in_bf16_it_is_that_of_the_bf16_logits() -> None:
    model = tiny_model(tiny_config("llama"), dtype=torch.bfloat16)
    policy = tiny_policy(model, LoraOptions(rank=4))
    ours = branch_logps(policy, tiny_branches("forest"), collision=True)
    assert ours.log_collision_S is not None and ours.log_collision_S.dtype == torch.float32
    assert (ours.log_collision_S - plainly(policy, tiny_branches("forest"))).abs().max() < 0.2


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("with_grad", [True, False])
def test_it_costs_no_second_product_over_the_vocabulary(
    trained: bool, with_grad: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    linear = nn.Linear(6, 11, bias=False).requires_grad_(trained)
    products: list[int] = []

    def count(*_: object) -> None:
        products.append(1)

    linear_map = head_module.F.linear
    monkeypatch.setattr(head_module.F, "linear", lambda *args: (count(), linear_map(*args))[1])
    hidden, edges = torch.randn(7, 6, requires_grad=True), torch.arange(7)
    for collision in (False, True):
        with torch.set_grad_enabled(with_grad):
            LanguageHead(linear, SimpleNamespace()).edges(hidden, edges, edges, collision=collision)
        assert len(products) == 1
        products.clear()


@pytest.mark.parametrize("trained", [False, True])
def test_at_the_extremes(trained: bool) -> None:
    """Certainty is log 1; ignorance of V tokens is log(V / V^2); neither overflows nor underflows."""
    vocabulary = 50_000
    linear = nn.Linear(1, vocabulary, bias=False).requires_grad_(trained)
    linear.weight.data.zero_()[3] = 1.0
    hidden = torch.tensor([[1e4], [0.0], [-1e4]])
    edge = torch.arange(3)
    found = LanguageHead(linear, SimpleNamespace()).edges(hidden, edge, edge, collision=True).log_collision_C
    assert found is not None
    expected = torch.tensor([0.0, -math.log(vocabulary), -math.log(vocabulary - 1)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_nothing_asked_nothing_computed() -> None:
    nothing = torch.empty(0, dtype=torch.long)
    head = LanguageHead(nn.Linear(6, 11, bias=False), SimpleNamespace())
    found = head.edges(torch.empty(0, 6), nothing, nothing, collision=True).log_collision_C
    assert found is not None and found.shape == (0,)


def by_hand(*values: float, counts: tuple[int, ...]) -> BranchLogps:
    return BranchLogps(torch.tensor(values, requires_grad=True), torch.tensor(counts), 0, 0)


def test_sums_of_the_first_tokens() -> None:
    """Three branches of 3, 1 and 2 tokens; of them the first 2, 0 and 5."""
    logps = by_hand(-1.0, -2.0, -4.0, -8.0, -16.0, -32.0, counts=(3, 1, 2))
    sums = logps.sums_of_first(torch.tensor([2, 0, 5]))
    assert sums.tolist() == [-3.0, 0.0, -48.0]
    (grad,) = torch.autograd.grad(sums.sum(), logps.per_token_logps_S)
    assert grad.tolist() == [1, 1, 0, 0, 1, 1]
    assert torch.equal(logps.sums_of_first(logps.num_scored_B), logps.sums())


def test_a_token_past_the_limit_cannot_spoil_the_sum() -> None:
    logps = by_hand(-1.0, -math.inf, -2.0, counts=(2, 1))
    sums = logps.sums_of_first(torch.tensor([1, 1]))
    assert sums.tolist() == [-1.0, -2.0]
    (grad,) = torch.autograd.grad(sums.sum(), logps.per_token_logps_S)
    assert grad.tolist() == [1, 0, 1]


def test_public_lengths_of_real_branches() -> None:
    """As LD-DPO asks for them: both sides of each pair up to the shorter one's length."""
    policy = tiny_policy(tiny_model(tiny_config("llama")))
    branches = tiny_branches("pairs")
    with torch.no_grad():
        logps = branch_logps(policy, branches)
    shorter = logps.num_scored_B.min().repeat(2)
    expected = [float(part[: int(shorter[0])].sum()) for part in logps.per_branch()]
    assert logps.num_scored_B.tolist() == [10, 7]
    torch.testing.assert_close(logps.sums_of_first(shorter), torch.tensor(expected))
