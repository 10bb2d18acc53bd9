"""Families of models by name, and what a judge makes of its own."""

from __future__ import annotations

import pytest
from hypothesis import given as over
from hypothesis import strategies as st
from made_verdicts import comparison, given

from palate.judge.families import FAMILIES, family_figures, family_of


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o", "gpt"),
        ("openai/gpt-4o-mini", "gpt"),
        ("ft:gpt-4o-mini:me", "gpt"),
        ("o3-mini", "gpt"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen"),
        ("accounts/any/models/qwen2p5-72b", "qwen"),
        ("meta-llama/Llama-3", "llama"),
        ("llama3.1:8b", "llama"),
        ("meta-llama/mine/checkpoint-100", "llama"),
        ("claude-3-5-sonnet", "claude"),
        ("google/gemma-2-9b", "gemini"),
        ("gemini-2.0-flash", "gemini"),
        ("mistralai/Mixtral-8x7B", "mistral"),
        ("deepseek-ai/DeepSeek-V3", "deepseek"),
        ("microsoft/phi-4", "phi"),
        ("CohereForAI/c4ai-command-r", "command"),
        ("01-ai/Yi-1.5-34B", "yi"),
        ("THUDM/glm-4-9b", "glm"),
        ("own-writer-2", "own"),
        ("facebook/opt-125m", "opt"),
        ("模型-7", "模型"),
        ("123", "123"),
        ("", ""),
    ],
)
def test_family_of(model: str, family: str) -> None:
    assert family_of(model) == family


@over(st.text(max_size=30))
def test_every_name_has_a_family_whatever_its_case(model: str) -> None:
    assert family_of(model) == family_of(model.casefold())


def test_every_word_leads_to_its_family() -> None:
    assert {word: family_of(word) for words in FAMILIES.values() for word in words} == {
        word: family for family, words in FAMILIES.items() for word in words
    }


def verdicts(*said: tuple[str, tuple[str | None, str | None]]):  # type: ignore[no-untyped-def]
    return [
        given(comparison(f"yes {n}", f"no {n}", f"Why {n}?", models), preferred)
        for n, (preferred, models) in enumerate(said)
    ]


def test_only_comparisons_with_one_side_of_its_own_count() -> None:
    """Own against other: win, tie, loss, so 1.5 of 3. Own against own, others, and unknown say nothing."""
    found = family_figures(
        verdicts(
            ("a", ("gpt-4o", "qwen2")),
            ("tie", ("qwen2", "gpt-3.5")),
            ("a", ("qwen2", "gpt-3.5")),
            ("a", ("gpt-4o", "gpt-3.5")),
            ("a", ("llama", "qwen2")),
            ("a", (None, "gpt-4o")),
        ),
        ["openai/gpt-4.1"],
        {},
        "votes",
    )
    assert (found.preference.value, found.preference.num) == (0.5, 3)
    assert found.own_families == ("gpt",)


def test_beside_what_people_say_of_the_same() -> None:
    """The judge takes its own in 2 of 2, people in 1 of 2: further in one of two, less far in none."""
    own = verdicts(("a", ("gpt-4o", "qwen2")), ("b", ("qwen2", "gpt-4o")))
    from palate.judge.sides import label_of

    people = {own[0].comparison.id: label_of(own[0].comparison, "a")}
    people[own[1].comparison.id] = label_of(own[1].comparison, "a")
    excess = family_figures(own, ["gpt-4o"], people, "votes").excess
    assert excess is not None
    assert (excess.judge_rate, excess.others_rate, excess.value, excess.num) == (1.0, 0.5, 0.5, 2)


@pytest.mark.parametrize(
    ("said", "models", "why"),
    [
        ((), ["gpt-4o"], "nobody knows"),
        ((("a", (None, "gpt")),), ["gpt-4o"], "nobody knows"),
        ((("a", ("llama", "qwen")),), ["gpt-4o"], "no comparison is between"),
        ((("a", ("gpt", "qwen")),), [], "no language model"),
        (((None, ("gpt", "qwen")),), ["gpt-4o"], "has a verdict"),
    ],
)
def test_why_there_is_no_figure(said: tuple, models: list[str], why: str) -> None:
    found = family_figures(verdicts(*said), models, {}, "votes")
    assert found.preference.value is None
    assert why in found.why_none
