from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tokenizers import CHATML, GEMMA, LLAMA2, make_tokenizer

from palate.engine import Rendered, Renderer, UnusableRow
from palate.errors import ModelError
from palate.records import Message, Messages


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


PROMPT: Messages = (user("the cat"),)

# (kind of tokenizer, its own template, its end token, template named by the recipe)
WAYS = [
    (kind, template, eos, name)
    for kind in ("bytes", "crossing", "unigram")
    for template, eos, name in (
        (CHATML, "<|im_end|>", "tokenizer"),
        (CHATML, "</s>", "tokenizer"),  # the template's end is not the tokenizer's
        (GEMMA, "</s>", "tokenizer"),
        (LLAMA2, "</s>", "tokenizer"),
        (None, "</s>", "chatml"),
        (None, "</s>", "alpaca"),
        (None, "</s>", "plain"),
    )
]
WAY_IDS = [
    f"{kind}-{name if name != 'tokenizer' else 'own'}-{i % 7}" for i, (kind, *_, name) in enumerate(WAYS)
]


def renderer_for(way: tuple[str, str | None, str, str]) -> Renderer:
    kind, template, eos, name = way
    adds_bos = template is None or template == LLAMA2
    return Renderer(make_tokenizer(kind, template=template, eos=eos, adds_bos=adds_bos), name)


def decode(renderer: Renderer, ids: Any, *, special: bool = True) -> str:
    return renderer.tokenizer.decode(np.asarray(ids).tolist(), skip_special_tokens=not special)


def prompt_and_rest(rendered: Rendered) -> tuple[list[int], list[int]]:
    ids = rendered.branch.token_ids.tolist()
    return ids[: rendered.num_prompt], ids[rendered.num_prompt :]


@pytest.mark.parametrize("way", WAYS, ids=WAY_IDS)
def test_prompt_then_answer_then_one_end(way: tuple[str, str | None, str, str]) -> None:
    renderer = renderer_for(way)
    rendered = renderer.render(PROMPT, (assistant("sat on the mat"),))
    before, answer = prompt_and_rest(rendered)
    assert before == renderer.prompt_ids(PROMPT)
    assert decode(renderer, answer, special=False).strip() == "sat on the mat"
    assert [token in renderer.stop_ids for token in answer] == [False] * (len(answer) - 1) + [True]
    assert rendered.branch.scored.tolist() == [False] * len(before) + [True] * len(answer)


@pytest.mark.parametrize("way", WAYS, ids=WAY_IDS)
def test_only_the_assistants_turns_are_scored(way: tuple[str, str | None, str, str]) -> None:
    renderer = renderer_for(way)
    turns = (assistant("sat on the mat"), user("what is France?"), assistant("the dog"))
    rendered = renderer.render(PROMPT, turns)
    ids, scored = rendered.branch.token_ids, rendered.branch.scored
    assert ids[: rendered.num_prompt].tolist() == renderer.prompt_ids(PROMPT)
    assert not scored[: rendered.num_prompt].any()
    starts = np.flatnonzero(np.diff(scored.astype(int)) == 1) + 1
    stops = np.flatnonzero(np.diff(np.append(scored, False).astype(int)) == -1) + 1
    runs = [ids[a:b].tolist() for a, b in zip(starts, stops, strict=True)]
    assert [decode(renderer, run, special=False).strip() for run in runs] == ["sat on the mat", "the dog"]
    # Each turn ends once, and the other's words stand between.
    assert all([t in renderer.stop_ids for t in run] == [False] * (len(run) - 1) + [True] for run in runs)
    assert "France" in decode(renderer, ids[stops[0] : starts[1]])
    assert scored[-1], "something stands after the last end"


@pytest.mark.parametrize("way", WAYS, ids=WAY_IDS)
def test_the_beginning_is_written_once_where_it_belongs(way: tuple[str, str | None, str, str]) -> None:
    renderer = renderer_for(way)
    _, template, _, _ = way
    expected = 0 if template == CHATML else 1
    ids = renderer.render(PROMPT, (assistant("sat"),)).branch.token_ids.tolist()
    assert ids.count(renderer.tokenizer.bos_token_id) == expected
    assert expected == 0 or ids[0] == renderer.tokenizer.bos_token_id


@pytest.mark.parametrize("way", [way for way in WAYS if way[1] not in (GEMMA, LLAMA2)])
def test_a_system_message_is_part_of_the_prompt(way: tuple[str, str | None, str, str]) -> None:
    renderer = renderer_for(way)
    rendered = renderer.render((Message("system", "the dog"), *PROMPT), (assistant("sat"),))
    text = decode(renderer, rendered.branch.token_ids[: rendered.num_prompt])
    assert text.index("the dog") < text.index("the cat")
    assert not rendered.branch.scored[: rendered.num_prompt].any()


def test_a_template_that_refuses_a_message_says_so() -> None:
    renderer = renderer_for(("bytes", GEMMA, "</s>", "tokenizer"))
    with pytest.raises(UnusableRow, match="System role not supported"):
        renderer.render((Message("system", "the dog"), *PROMPT), (assistant("sat"),))


@pytest.mark.parametrize("kind", ["crossing", "unigram"])
def test_a_merge_across_the_boundary_is_taken_apart_and_told(kind: str) -> None:
    """The answer begins in the middle of " on", which is one token where nothing stands in between."""
    renderer = renderer_for((kind, None, "</s>", "plain"))
    whole = renderer._ids("<s>the cat sat on the mat")
    alone = renderer._ids("<s>the cat sat o")
    assert whole[: len(alone)] != alone, "nothing merges here, the test tests nothing"
    rendered = renderer.render((user("the cat sat o"),), (assistant("n the mat"),))
    before, answer = prompt_and_rest(rendered)
    assert rendered.boundary_merged
    assert before == alone == renderer.prompt_ids((user("the cat sat o"),))
    # Not a word of its own: a tokenizer that puts a space before what it is given must not put one here.
    assert decode(renderer, [*before, *answer], special=False).strip() == "the cat sat on the mat"
    assert answer[-1] == renderer.eos_id


def test_no_merge_is_told_where_there_is_none() -> None:
    for way in WAYS:
        assert not renderer_for(way).render(PROMPT, (assistant(" sat"),)).boundary_merged or way[3] == "plain"


def test_both_sides_of_a_pair_share_their_prompt_even_if_one_merges() -> None:
    renderer = renderer_for(("crossing", None, "</s>", "plain"))
    sides = [renderer.render((user("the cat sat o"),), (assistant(text),)) for text in ("n the mat", "!")]
    assert [side.boundary_merged for side in sides] == [True, False]
    assert prompt_and_rest(sides[0])[0] == prompt_and_rest(sides[1])[0]


@pytest.mark.parametrize("eos", ["<|im_end|>", "</s>"])
def test_an_end_token_inside_the_answer_makes_the_row_unusable(eos: str) -> None:
    renderer = renderer_for(("bytes", CHATML, eos, "tokenizer"))
    with pytest.raises(UnusableRow, match="end-of-turn token in its text"):
        renderer.render(PROMPT, (assistant("sat<|im_end|>on the mat"),))


def test_an_end_token_that_the_data_already_has_is_not_doubled() -> None:
    renderer = renderer_for(("bytes", CHATML, "<|im_end|>", "tokenizer"))
    plain = renderer.render(PROMPT, (assistant("sat"),)).branch
    ended = renderer.render(PROMPT, (assistant("sat<|im_end|>"),)).branch
    assert ended.token_ids.tolist() == plain.token_ids.tolist()


@pytest.mark.parametrize("way", WAYS, ids=WAY_IDS)
@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_an_empty_answer_is_no_answer(way: tuple[str, str | None, str, str], text: str) -> None:
    with pytest.raises(UnusableRow, match="empty"):
        renderer_for(way).render(PROMPT, (assistant(text),))


def test_a_completion_without_an_assistant_is_no_completion() -> None:
    with pytest.raises(UnusableRow, match="no assistant turn"):
        renderer_for(WAYS[0]).render(PROMPT, (user("the dog"),))


def test_an_empty_prompt_has_nothing_to_predict_from() -> None:
    tokenizer = make_tokenizer("bytes", template=None, eos="</s>")
    with pytest.raises(UnusableRow, match="prompt has no tokens"):
        Renderer(tokenizer, "plain").render((user(""),), (assistant("sat"),))


def test_what_answers_are_trained_to_end_with_also_ends_them() -> None:
    """Gemma's tokenizer ends sequences with <eos>; its turns end with another, which generation must know."""
    tokenizer = make_tokenizer("bytes", template=GEMMA, eos="</s>")
    end_of_turn = tokenizer.convert_tokens_to_ids("<end_of_turn>")
    renderer = Renderer(tokenizer)
    assert renderer.stop_ids == {tokenizer.eos_token_id, end_of_turn}
    assert renderer.render(PROMPT, (assistant("sat"),)).branch.token_ids[-1] == end_of_turn
    # ... and so the text of an answer may not hold it.
    with pytest.raises(UnusableRow, match="end-of-turn"):
        renderer.render(PROMPT, (assistant("sat<end_of_turn>on"),))


def test_two_end_tokens_in_a_row_become_one() -> None:
    """Phi's template ends a turn with one stop token and the sequence with another."""
    template = CHATML + "{% if not add_generation_prompt %}{{ '</s>' }}{% endif %}"
    tokenizer = make_tokenizer("bytes", template=template, eos="</s>")
    renderer = Renderer(tokenizer)
    ids = renderer.render(PROMPT, (assistant("sat"),)).branch.token_ids.tolist()
    assert tokenizer.convert_ids_to_tokens(ids[-1]) == "<|im_end|>"
    assert sum(token in renderer.stop_ids for token in ids[len(renderer.prompt_ids(PROMPT)) :]) == 1


@pytest.mark.parametrize("ending", ["\n", "<|end|>\n", "\n\n---\n"])
def test_a_plain_ending_gives_way_to_the_end_token(ending: str) -> None:
    """Marks that are no tokens are not part of the answer, or it would be shown with them ever after."""
    template = CHATML.replace("<|im_end|>\\n", ending.replace("\n", "\\n"))
    tokenizer = make_tokenizer("bytes", template=template, eos="</s>")
    renderer = Renderer(tokenizer)
    turns = (assistant("sat"), user("what is"), assistant("the dog"))
    one, three = renderer.render(PROMPT, turns[:1]).branch, renderer.render(PROMPT, turns).branch
    prompt = renderer.prompt_ids(PROMPT)
    assert one.token_ids.tolist() == [*prompt, *renderer._ids("sat"), renderer.eos_id]
    assert decode(renderer, three.token_ids[three.scored]) == "sat</s>the dog</s>"
    assert decode(renderer, three.token_ids) == (
        decode(renderer, prompt) + f"sat</s>{ending}<|im_start|>user\nwhat is{ending}"
        "<|im_start|>assistant\nthe dog</s>"
    )


def test_stop_tokens_of_the_model_end_an_answer_too() -> None:
    tokenizer = make_tokenizer("bytes", template=LLAMA2, eos="</s>")
    stop = tokenizer.convert_tokens_to_ids("<|im_end|>")
    renderer = Renderer(tokenizer, stop_ids=[stop])
    assert stop in renderer.stop_ids
    with pytest.raises(UnusableRow, match="end-of-turn"):
        renderer.render(PROMPT, (assistant("sat<|im_end|>on"),))


REWRITES = {
    "the last question gets a hint once answered": (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}"
        "{% if m['role'] == 'user' and not add_generation_prompt %}{{ ' (answered)' }}{% endif %}{{ '\\n' }}"
        "{% endfor %}"
    ),
    "only the newest turns are kept": "{{ messages[-1]['content'] }}",
}


@pytest.mark.parametrize("template", REWRITES.values(), ids=REWRITES)
def test_a_template_that_rewrites_the_prompt_makes_the_row_unusable(template: str) -> None:
    renderer = Renderer(make_tokenizer("bytes", template=template, eos="</s>"))
    with pytest.raises(UnusableRow, match="rewrites"):
        renderer.render(PROMPT, (assistant("sat"),))


def test_a_template_that_strips_earlier_answers_is_used_for_one_turn_and_refused_for_two() -> None:
    """As templates do that leave earlier thoughts out."""
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}"
        "{{ '...' if m['role'] == 'assistant' and not loop.last else m['content'] }}"
        "{{ '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
    renderer = Renderer(make_tokenizer("bytes", template=template))
    renderer.render(PROMPT, (assistant("sat"),))
    renderer.render((*PROMPT, assistant("sat"), user("what")), (assistant("the dog"),))
    with pytest.raises(UnusableRow, match="rewrites"):
        renderer.render(PROMPT, (assistant("sat"), user("what"), assistant("the dog")))


def test_a_row_that_cannot_be_used_is_an_error_with_a_message() -> None:
    """Outside training, where it is set aside, it must not come out as a stack of calls."""
    from palate.errors import PalateError

    assert issubclass(UnusableRow, PalateError)
    assert str(UnusableRow("the answer is empty")) == "the answer is empty"


def test_what_a_renderer_needs() -> None:
    with pytest.raises(ModelError, match="no chat template") as caught:
        Renderer(make_tokenizer("bytes", template=None))
    assert "chatml" in caught.value.next
    tokenizer = make_tokenizer("bytes")
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no end-of-sequence token"):
        Renderer(tokenizer)


# Any text that UTF-8 can hold and that does not spell out a special token.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).filter(
    lambda text: not any(mark in text for mark in ("<s>", "</s>", "<pad>", "<|im", "_of_turn>"))
)


@settings(deadline=None, max_examples=80)
@given(TEXT, TEXT.filter(lambda text: bool(text.strip())), st.sampled_from(["bytes", "crossing"]))
def test_nothing_is_lost_in_tokens(question: str, answer: str, kind: str) -> None:
    """Byte-level tokens spell out exactly the template's text and exactly the answer, whatever they are."""
    for template, name in ((CHATML, "tokenizer"), (None, "alpaca"), (None, "plain")):
        renderer = _cached_renderer(kind, template, name)
        rendered = renderer.render((user(question),), (assistant(answer),))
        before, rest = prompt_and_rest(rendered)
        expected = {
            "tokenizer": f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n",
            "alpaca": f"<s>### Instruction:\n{question}\n\n### Response:\n",
            "plain": f"<s>{question}",
        }[name]
        assert decode(renderer, before) == expected
        assert before == renderer.prompt_ids((user(question),))
        assert decode(renderer, rest[:-1]) == answer
        assert rest[-1] in renderer.stop_ids
        assert not set(rest[:-1]) & renderer.stop_ids


_RENDERERS: dict[tuple[str, str | None, str], Renderer] = {}


def _cached_renderer(kind: str, template: str | None, name: str) -> Renderer:
    key = (kind, template, name)
    if key not in _RENDERERS:
        eos = "<|im_end|>" if template else "</s>"
        _RENDERERS[key] = renderer_for((kind, template, eos, name))
    return _RENDERERS[key]
