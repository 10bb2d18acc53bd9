"""The promise of the engine: the tree and the padded way give the numbers of the model's own forward pass.

Own here means: one branch at a time, no mask, no position ids, full logits, log_softmax, autograd.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from tiny_models import ARCHITECTURES, VOCABULARY, tiny_branches, tiny_config, tiny_model, tiny_policy
from torch import Tensor, nn

from palate.engine import Branch, Layout, Policy, branch_logps, own_forward_logps
from palate.engine.proof import tolerance
from palate.recipe import LoraOptions

LAYOUTS: list[Layout] = ["tree", "padded", "own_logits"]
KINDS = ["single", "pairs", "group", "forest"]
KERNELS = [
    (name, attention)
    for name in ARCHITECTURES
    for attention in ("sdpa", "eager")
    if (name, attention) != ("gemma2", "sdpa")  # sdpa leaves out Gemma 2's soft cap
]


def own(policy: Policy, branches: Sequence[Branch]) -> Tensor:
    """Summed log-probabilities, differentiable, by nothing but the model."""
    sums = []
    for branch in branches:
        ids = torch.from_numpy(branch.token_ids)[None]
        with policy.autocast():
            logits = policy.causal_lm(input_ids=ids, use_cache=False).logits[0, :-1]
        wide = logits.double() if logits.dtype == torch.float64 else logits.float()
        logps = wide.log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
        sums.append(logps[torch.from_numpy(branch.scored)[1:]].sum())
    return torch.stack(sums)


def gradient(policy: Policy, sums: Tensor) -> Tensor:
    """Of a weighted sum, as every preference objective makes one: signs differ between branches."""
    weights = torch.linspace(-1, 1, len(sums) + 1)[1:].to(sums)
    parameters = policy.trainable_parameters()
    grads = torch.autograd.grad((sums * weights).sum(), parameters, allow_unused=True)
    return torch.cat(
        [
            (torch.zeros_like(p) if g is None else g).flatten().double()
            for p, g in zip(parameters, grads, strict=True)
        ]
    )


def assert_same(
    policy: Policy, branches: Sequence[Branch], layout: Layout, value: float = 1e-4, grad: float = 1e-5
) -> None:
    expected = own(policy, branches)
    ours = branch_logps(policy, branches, layout)
    assert ours.per_token_logps_S.dtype == torch.float32
    assert (ours.sums() - expected).abs().max() <= value
    expected_grad, our_grad = gradient(policy, expected), gradient(policy, ours.sums())
    assert expected_grad.norm() > 1, "nothing to compare"
    assert (our_grad - expected_grad).norm() / expected_grad.norm() <= grad


@pytest.mark.parametrize(("name", "attention"), KERNELS)
def test_tree_and_padded_equal_the_model_itself(name: str, attention: str) -> None:
    model = tiny_model(tiny_config(name), attention)
    policy = tiny_policy(model, LoraOptions(rank=4), attention=attention)
    for kind in KINDS:
        for layout in LAYOUTS[:2]:
            assert_same(policy, tiny_branches(kind), layout)
    assert_same(policy, tiny_branches("forest"), "own_logits")


@pytest.mark.parametrize("name", ["llama", "mistral-sliding", "gemma3"])
def test_in_double_precision_only_the_heads_fp32_is_left(name: str) -> None:
    """What remains of the difference in fp32 is rounding: in float64 the gradients agree ten times closer."""
    policy = tiny_policy(tiny_model(tiny_config(name), dtype=torch.float64), LoraOptions(rank=4))
    policy.model.double()
    for kind in KINDS:
        for layout in LAYOUTS[:2]:
            assert_same(policy, tiny_branches(kind), layout, value=2e-5, grad=1e-6)


@pytest.mark.parametrize("layout", ["tree", "padded"])
def test_a_wrong_mask_would_be_seen(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above can fail: a window one too long moves log-probabilities by more than rounding."""
    policy = tiny_policy(tiny_model(tiny_config("mistral-sliding")))
    expected = own_forward_logps(policy, tiny_branches("pairs")).sums()
    policy.text_config.sliding_window += 1
    difference = (branch_logps(policy, tiny_branches("pairs"), layout).sums() - expected).abs().max()
    assert difference > 0.01


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_full_fine_tuning(name: str, tied: bool) -> None:
    """Every weight has its gradient, embeddings and head included, tied or not."""
    attention = "eager" if name == "gemma2" else "sdpa"
    policy = tiny_policy(
        tiny_model(tiny_config(name, tie_word_embeddings=tied), attention), attention=attention
    )
    for layout in LAYOUTS:
        assert_same(policy, tiny_branches("group"), layout)
        embedding = policy.causal_lm.get_input_embeddings().weight
        head = policy.causal_lm.get_output_embeddings().weight
        assert (embedding is head) == tied
        sums = branch_logps(policy, tiny_branches("pairs"), layout).sums()
        for weight in (embedding, head):
            assert torch.autograd.grad(sums.sum(), weight, retain_graph=True)[0].norm() > 0


@pytest.mark.parametrize(
    "adapter",
    [
        LoraOptions(rank=4, target_modules=["q_proj", "lm_head"]),
        LoraOptions(rank=4, modules_to_save=["lm_head"]),
        LoraOptions(rank=4, target_modules=["embed_tokens", "v_proj"]),
        LoraOptions(rank=4, modules_to_save=["embed_tokens", "norm"]),
        LoraOptions(rank=4, rslora=True, rank_pattern={"q_proj": 2}, alpha_pattern={"v_proj": 3}),
        LoraOptions(rank=4, target_modules=["q_proj", "up_proj"], layers_to_transform=[1]),
        LoraOptions(rank=4, exclude_modules=["down_proj"]),
    ],
    ids=[
        "lora on head",
        "head saved",
        "lora on embeddings",
        "embeddings saved",
        "patterns",
        "one layer",
        "all but one",
    ],
)
def test_wherever_the_adapter_is(adapter: LoraOptions) -> None:
    policy = tiny_policy(tiny_model(tiny_config("llama")), adapter)
    for layout in LAYOUTS:
        assert_same(policy, tiny_branches("pairs"), layout)


@pytest.mark.parametrize("adapter", [None, LoraOptions(rank=4)])
def test_a_head_with_a_bias(adapter: LoraOptions | None) -> None:
    model = tiny_model(tiny_config("llama"))
    model.lm_head = nn.Linear(32, VOCABULARY, bias=True)
    policy = tiny_policy(model, adapter)
    for layout in LAYOUTS:
        assert_same(policy, tiny_branches("pairs"), layout)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("cohere", {"logit_scale": 0.25}),
        ("granite", {"logits_scaling": 4.0}),
        ("gpt2", {"n_embd": 32, "n_head": 4}),
    ],
)
def test_other_families(name: str, change: dict[str, float]) -> None:
    """Logits multiplied, logits divided, learnt positions and fused projections."""
    policy = tiny_policy(tiny_model(tiny_config(name, **change)), LoraOptions(rank=4))
    for layout in LAYOUTS:
        assert_same(policy, tiny_branches("group"), layout)


@pytest.mark.parametrize("name", ["llama", "mistral-sliding", "gemma3"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_bf16_within_its_tolerance(name: str, layout: Layout) -> None:
    policy = tiny_policy(tiny_model(tiny_config(name), dtype=torch.bfloat16), LoraOptions(rank=4))
    worst, mean = tolerance(torch.bfloat16)
    with torch.no_grad():
        for kind in KINDS:
            branches = tiny_branches(kind)
            difference = (
                branch_logps(policy, branches, layout).per_token_logps_S
                - own_forward_logps(policy, branches).per_token_logps_S
            ).abs()
            assert difference.max() <= worst and difference.mean() <= mean


@pytest.mark.parametrize("adapter", [None, LoraOptions(rank=4, modules_to_save=["lm_head"])])
def test_mixed_precision_over_fp32_weights(adapter: LoraOptions | None) -> None:
    """Full fine-tuning in bf16 over fp32 weights; a head trained whole over a bf16 base: both by autocast."""
    dtype = torch.float32 if adapter is None else torch.bfloat16
    model = tiny_model(tiny_config("llama"), dtype=dtype)
    policy = tiny_policy(model, adapter, compute_dtype=torch.bfloat16)
    assert {p.dtype for p in policy.trainable_parameters()} == {torch.float32}
    branches = tiny_branches("pairs")
    expected = own(policy, branches)
    grad = gradient(policy, expected)
    for layout in LAYOUTS:
        ours = branch_logps(policy, branches, layout).sums()
        assert (ours - expected).abs().max() < 0.5
        assert (gradient(policy, ours) - grad).norm() / grad.norm() < 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("target", [["q_proj", "up_proj"], ["q_proj", "lm_head"], "all-linear"])
def test_a_fresh_adapter_is_the_reference_to_the_last_bit(
    dtype: torch.dtype, layout: Layout, target: str | list[str]
) -> None:
    """So the first DPO loss is ln 2 exactly: with gradient and dropout, against the reference without."""
    adapter = LoraOptions(rank=4, dropout=0.3, target_modules=target)
    policy = tiny_policy(tiny_model(tiny_config("llama"), dtype=dtype), adapter, awaken=False)
    policy.model.train()
    ours = branch_logps(policy, tiny_branches("group"), layout)
    with policy.as_reference():
        reference = branch_logps(policy, tiny_branches("group"), layout)
    assert torch.equal(ours.per_token_logps_S, reference.per_token_logps_S)
    assert policy.model.training


def test_a_fresh_saved_head_is_the_reference_to_the_last_bit() -> None:
    adapter = LoraOptions(rank=4, modules_to_save=["lm_head"])
    policy = tiny_policy(tiny_model(tiny_config("llama"), dtype=torch.bfloat16), adapter, awaken=False)
    ours = branch_logps(policy, tiny_branches("group"))
    with policy.as_reference():
        reference = branch_logps(policy, tiny_branches("group"))
    assert torch.equal(ours.per_token_logps_S, reference.per_token_logps_S)


def test_asking_the_reference_between_forward_and_backward_changes_no_gradient() -> None:
    policy = tiny_policy(tiny_model(tiny_config("llama")), LoraOptions(rank=4))
    ours = branch_logps(policy, tiny_branches("pairs")).sums()
    undisturbed = gradient(policy, branch_logps(policy, tiny_branches("pairs")).sums())
    with policy.as_reference():
        assert not branch_logps(policy, tiny_branches("pairs")).sums().requires_grad
    assert torch.equal(gradient(policy, ours), undisturbed)


def test_what_was_computed_and_what_it_stands_for() -> None:
    """A group of ten pairs: one prompt of 12 and completions of 3, 9, 6, 1, 8, each four times.

    Represented: 4 (5 x 12 + 27) = 348. Padded: 20 rows of 21. Tree: 12 prompt nodes, and each completion less
    its last token: 2 + 8 + 5 + 0 + 7 = 22, no two beginning alike.
    """
    policy = tiny_policy(tiny_model(tiny_config("llama")))
    counts = {}
    for layout in LAYOUTS:
        result = branch_logps(policy, tiny_branches("group"), layout)
        counts[layout] = (result.num_computed, result.num_represented)
    assert counts == {"tree": (34, 348), "padded": (420, 348), "own_logits": (420, 348)}


def test_sums_and_parts() -> None:
    policy = tiny_policy(tiny_model(tiny_config("llama")))
    with torch.no_grad():
        result = branch_logps(policy, tiny_branches("group"))
    parts = result.per_branch()
    assert [len(part) for part in parts] == result.num_scored_B.tolist()
    assert torch.allclose(torch.stack([part.sum() for part in parts]), result.sums())
    # The same completion stands in four pairs, and gets the same numbers in each.
    same = [i for i, b in enumerate(tiny_branches("group")) if b.key == tiny_branches("group")[1].key]
    assert len(same) == 4
    assert all(torch.equal(parts[same[0]], parts[i]) for i in same)
