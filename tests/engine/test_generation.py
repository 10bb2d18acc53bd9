from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_folder import save_tiny
from tiny_models import awaken_adapter

from palate.engine import Policy, Renderer, Sampling, generate, load_policy
from palate.recipe import LoraOptions, ModelOptions
from palate.records import Message, Messages

PROMPTS: list[Messages] = [
    (Message("user", text),)
    for text in ("the cat", "what is the capital of France?", "a", "one: two: three: four", "Hello!")
]
GREEDY = Sampling(max_new_tokens=12)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    folder = save_tiny(tmp_path_factory.mktemp("base"))
    policy = load_policy(ModelOptions(base=str(folder), adapter=LoraOptions(rank=2), device="cpu"))
    awaken_adapter(policy.model)
    return policy


@pytest.fixture(scope="module")
def renderer(policy: Policy) -> Renderer:
    return Renderer(policy.tokenizer, stop_ids=policy.stop_ids())


def by_hand(policy: Policy, renderer: Renderer, prompt: Messages, length: int) -> tuple[list[int], bool]:
    """The most likely token, again and again, without a cache."""
    ids = renderer.prompt_ids(prompt)
    start = len(ids)
    policy.model.eval()
    with torch.no_grad():
        for _ in range(length):
            ids = [*ids, int(policy.causal_lm(input_ids=torch.tensor([ids])).logits[0, -1].argmax())]
            if ids[-1] in renderer.stop_ids:
                break
    policy.model.train()
    return ids[start:], ids[-1] in renderer.stop_ids


def text_of(renderer: Renderer, ids: list[int]) -> str:
    stops = renderer.stop_ids
    return renderer.tokenizer.decode([i for i in ids if i not in stops], skip_special_tokens=True)


def test_greedy_is_the_most_likely_token_again_and_again(policy: Policy, renderer: Renderer) -> None:
    """All in one batch, padded on the left: each answer is the one it would have had alone."""
    answers = generate(policy, renderer, PROMPTS, GREEDY)
    assert [answer.prompt for answer in answers] == PROMPTS
    assert len({answer.text for answer in answers}) > 1, "a model without opinions tests nothing"
    for answer in answers:
        ids, finished = by_hand(policy, renderer, answer.prompt, GREEDY.max_new_tokens)
        assert answer.text == text_of(renderer, ids)
        assert answer.finished == finished
    assert policy.model.training


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_the_batch_makes_no_difference(policy: Policy, renderer: Renderer, batch_size: int) -> None:
    done: list[tuple[int, int]] = []
    answers = generate(
        policy, renderer, PROMPTS, GREEDY, batch_size=batch_size, on_batch=lambda *at: done.append(at)
    )
    assert answers == generate(policy, renderer, PROMPTS, GREEDY)
    assert done[-1] == (5, 5)


def test_inside_as_reference_the_base_answers(policy: Policy, renderer: Renderer) -> None:
    ours = generate(policy, renderer, PROMPTS, GREEDY)
    with policy.as_reference():
        base = generate(policy, renderer, PROMPTS, GREEDY, name="base")
        expected = [text_of(renderer, by_hand_base(policy, renderer, prompt)) for prompt in PROMPTS]
    assert [answer.text for answer in base] == expected
    assert [answer.text for answer in base] != [answer.text for answer in ours]
    assert {answer.model for answer in base} == {"base"}


def by_hand_base(policy: Policy, renderer: Renderer, prompt: Messages) -> list[int]:
    ids, _ = by_hand(policy, renderer, prompt, GREEDY.max_new_tokens)
    return ids


def test_a_stop_token_ends_an_answer_and_the_limit_does_not(policy: Policy) -> None:
    """Whatever comes third in the greedy answer is made a stop token: the answer ends before it."""
    plain = Renderer(policy.tokenizer)
    ids, _ = by_hand(policy, plain, PROMPTS[0], 6)
    assert ids[2] not in ids[:2]
    stopping = Renderer(policy.tokenizer, stop_ids=[ids[2]])
    (stopped,) = generate(policy, stopping, PROMPTS[:1], Sampling(max_new_tokens=6))
    assert stopped.finished
    assert stopped.text == text_of(plain, ids[:2])
    (cut,) = generate(policy, stopping, PROMPTS[:1], Sampling(max_new_tokens=2))
    assert not cut.finished
    assert cut.text == stopped.text


def test_a_seed_gives_the_same_answers_and_disturbs_nothing(policy: Policy, renderer: Renderer) -> None:
    def sample(seed: int, **changes: Any) -> list[str]:
        sampling = Sampling(max_new_tokens=12, **({"temperature": 1.0} | changes), seed=seed)
        return [answer.text for answer in generate(policy, renderer, PROMPTS, sampling)]

    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = sample(0)
    assert torch.equal(torch.rand(1), expected)
    assert sample(0) == first
    assert sample(1) != first
    # The smallest set with a thousandth of the probability is the most likely token.
    greedy = [answer.text for answer in generate(policy, renderer, PROMPTS, GREEDY)]
    assert sample(0, top_p=0.001) == greedy
    assert sample(0, temperature=1e-4) == greedy


@pytest.mark.parametrize(
    "own",
    [
        {"do_sample": True, "temperature": 5.0},
        {"repetition_penalty": 1.8},
        {"min_new_tokens": 11},
        {"no_repeat_ngram_size": 1},
        {"suppress_tokens": list(range(10, 300))},
        {"max_new_tokens": 1},
    ],
)
def test_the_models_own_settings_do_not_leak_in(
    policy: Policy, renderer: Renderer, own: dict[str, Any]
) -> None:
    from transformers import GenerationConfig

    expected = generate(policy, renderer, PROMPTS, GREEDY)
    before = policy.causal_lm.generation_config
    policy.causal_lm.generation_config = GenerationConfig(**own)
    try:
        assert generate(policy, renderer, PROMPTS, GREEDY) == expected
        assert all(getattr(policy.causal_lm.generation_config, key) == value for key, value in own.items())
    finally:
        policy.causal_lm.generation_config = before


def test_sampling_is_not_cut_to_the_likeliest_tokens_unasked(policy: Policy, renderer: Renderer) -> None:
    """transformers' own default keeps 50 tokens to choose from; at a high temperature many more come up."""
    hot = Sampling(max_new_tokens=1, temperature=50.0)
    answers = generate(policy, renderer, PROMPTS[:1] * 200, hot, batch_size=200)
    assert len({answer.text for answer in answers}) > 60


def test_no_prompts_no_answers(policy: Policy, renderer: Renderer) -> None:
    assert generate(policy, renderer, [], GREEDY) == []


@pytest.mark.parametrize("name", ["mistral-sliding", "gemma3", "gemma2", "qwen2-sliding"])
def test_windows_in_a_padded_batch(name: str, tmp_path: Path) -> None:
    """The cache of a sliding layer is cut to its window: padding must not take up its places."""
    folder = save_tiny(tmp_path, name)
    policy = load_policy(ModelOptions(base=str(folder), adapter=LoraOptions(rank=2), device="cpu"))
    renderer = Renderer(policy.tokenizer, stop_ids=policy.stop_ids())
    for answer in generate(policy, renderer, PROMPTS, GREEDY):
        assert answer.text == text_of(renderer, by_hand(policy, renderer, answer.prompt, 12)[0])
