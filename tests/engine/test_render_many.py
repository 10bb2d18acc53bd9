"""Many prompts and completions at once come out as each of them alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tokens import WAY_IDS, WAYS, renderer_for

from palate.engine import Rendered, Renderer, UnusableRow
from palate.records import Message, Messages

said = st.sampled_from(
    ["the cat", "sat o", "n the mat", "What is\nFrance?", "<|im_end|>", " ", "é🙂", "</s>x"]
)
system = st.builds(Message, st.just("system"), said)
user = st.builds(Message, st.just("user"), said)
assistant = st.builds(Message, st.just("assistant"), said)
prompts = st.one_of(st.tuples(user), st.tuples(system, user), st.tuples(user, assistant, user))
completions = st.one_of(st.tuples(assistant), st.tuples(assistant, user, assistant), st.just(()))


def alone(renderer: Renderer, prompt: Messages, completion: Messages) -> object:
    try:
        return content(renderer.render(prompt, completion))
    except UnusableRow as reason:
        return content(reason)


def content(found: Rendered | UnusableRow) -> object:
    if isinstance(found, UnusableRow):
        return str(found)
    return found.branch.key, found.num_prompt, found.boundary_merged


@pytest.mark.parametrize("way", WAYS, ids=WAY_IDS)
@settings(max_examples=25, deadline=None)
@given(items=st.lists(st.tuples(prompts, completions), max_size=8))
def test_together_as_alone(
    way: tuple[str, str | None, str, str], items: list[tuple[Messages, Messages]]
) -> None:
    fresh = renderer_for(way)  # one that remembers nothing of the others
    expected = [alone(fresh, *item) for item in items]
    assert [content(found) for found in renderer_for(way).render_many(items)] == expected


def test_one_call_of_the_tokenizer_for_all_and_each_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = renderer_for(WAYS[0])
    calls: list[list[str]] = []
    real = renderer.tokenizer._encode_plus
    monkeypatch.setattr(
        renderer.tokenizer, "_encode_plus", lambda text, **how: calls.append(text) or real(text, **how)
    )
    prompt = (Message("user", "the cat"),)
    answers = [(Message("assistant", text),) for text in ("sat", "ran", "sat")]
    renderer.render_many([(prompt, answer) for answer in answers])
    (texts,) = calls
    assert len(texts) == 3, "the prompt, and it with each of two answers"


def test_nothing_in_nothing_out() -> None:
    assert renderer_for(WAYS[0]).render_many([]) == []


def test_the_memory_of_prompts_is_bounded() -> None:
    renderer = renderer_for(WAYS[0])
    for number in range(3000):
        renderer.prompt_ids((Message("user", str(number)),))
    assert len(renderer._prompts) <= 1024
