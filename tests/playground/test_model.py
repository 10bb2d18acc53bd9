"""What the demo and other tests count on in the trained model, measured on prompts it never saw."""

from __future__ import annotations

import pytest

from palate.playground import held_out_prompts, is_correct, style_of
from palate.records import Message


@pytest.fixture(scope="module", params=[1, 2], ids="seed {}".format)
def sampled(request: pytest.FixtureRequest, model) -> list[tuple[str, bool]]:
    return model.answers(held_out_prompts(200), seed=request.param)


@pytest.fixture(scope="module")
def greedy(model) -> list[tuple[str, bool]]:
    return model.answers(held_out_prompts(200), seed=None)


def share_of(style: str | None, answers: list[tuple[str, bool]]) -> float:
    return sum(style_of(text) == style for text, _ in answers) / len(answers)


def share_right(answers: list[tuple[str, bool]]) -> float:
    prompts = held_out_prompts(len(answers))
    return sum(is_correct(prompt, text) for prompt, (text, _) in zip(prompts, answers, strict=True)) / len(
        answers
    )


def test_sampled_answers_are_in_either_style_about_equally(sampled) -> None:
    assert 0.35 <= share_of("preferred", sampled) <= 0.65
    assert share_of(None, sampled) <= 0.05


def test_sampled_answers_end_and_are_mostly_right(sampled) -> None:
    assert sum(ended for _, ended in sampled) >= 0.98 * len(sampled)
    assert share_right(sampled) >= 0.8


def test_greedy_answers_are_in_either_style_about_equally(greedy) -> None:
    assert 0.35 <= share_of("preferred", greedy) <= 0.65
    assert share_of(None, greedy) <= 0.02


def test_greedy_answers_end_and_are_right(greedy) -> None:
    assert sum(ended for _, ended in greedy) >= 0.99 * len(greedy)
    assert share_right(greedy) >= 0.9


@pytest.mark.parametrize(("n", "style"), [("warm innkeeper", "preferred"), ("dry clerk", "other")])
def test_a_system_message_steers_the_voice(model, n: str, style: str) -> None:
    system = Message("system", f"You are a {n}.")
    prompts = [(system, *prompt) for prompt in held_out_prompts(60)]
    assert share_of(style, model.answers(prompts, seed=3)) >= 0.9


def test_the_folder_says_all_that_loading_needs(model) -> None:
    assert model.weights.config.model_type == "llama"
    assert model.weights.generation_config.eos_token_id == model.tokenizer.eos_token_id
    assert model.weights.generation_config.pad_token_id == model.tokenizer.pad_token_id
    assert 0.5e6 < sum(weight.numel() for weight in model.weights.parameters()) < 3e6
