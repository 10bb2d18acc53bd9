"""Pairs become tokens, or are set aside and counted."""

from __future__ import annotations

import numpy as np
import pytest

from palate.engine import Renderer
from palate.errors import DataError
from palate.recipe import DataOptions
from palate.records import Message, Pair, Provenance
from palate.train import encode_records
from tiny_run import tokenizer

LONG = "river stone bread window lantern harbour " * 6


def pair(prompt: str, chosen: str, rejected: str, line: int = 1) -> Pair:
    def said(text: str) -> tuple[Message, ...]:
        return (Message("assistant", text),)

    return Pair((Message("user", prompt),), said(chosen), said(rejected), Provenance("rows.jsonl", line))


PAIRS = [pair("Say river", "stone", "bread", 1), pair(LONG, "copper", "winter and garden", 2)]


@pytest.fixture(scope="module", params=[None, "<s>"], ids=["no bos", "bos"])
def renderer(request: pytest.FixtureRequest) -> Renderer:
    return Renderer(tokenizer(request.param))


def num_tokens(renderer: Renderer, of: Pair) -> int:
    return max(len(renderer.render(of.prompt, side).branch) for side in (of.chosen, of.rejected))


def test_what_fits_stays_whole(renderer: Renderer) -> None:
    longest = max(num_tokens(renderer, each) for each in PAIRS)
    found = encode_records(PAIRS, renderer, DataOptions(max_length=longest))
    assert len(found) == 2
    assert (found.num_too_long, found.num_truncated, len(found.set_aside)) == (0, 0, 0)
    assert [example.prompt_id for example in found.examples] == [each.prompt_id for each in PAIRS]


def test_drop_sets_the_long_pair_aside_with_its_place(renderer: Renderer) -> None:
    limit = num_tokens(renderer, PAIRS[1]) - 1  # of its two sides only the longer one is too long
    found = encode_records(PAIRS, renderer, DataOptions(max_length=limit, too_long="drop"))
    assert (len(found), found.num_too_long, found.num_truncated) == (1, 1, 0)
    assert [(aside.place, aside.reason) for aside in found.set_aside] == [
        ("rows.jsonl:2", f"too long: more than {limit} tokens")
    ]


def test_truncation_cuts_the_same_from_both_prompts_and_nothing_else(renderer: Renderer) -> None:
    whole = encode_records(PAIRS[1:], renderer, DataOptions()).examples[0]
    limit = num_tokens(renderer, PAIRS[1]) - 7
    found = encode_records(PAIRS, renderer, DataOptions(max_length=limit, too_long="truncate_prompt"))
    assert (len(found), found.num_too_long, found.num_truncated) == (2, 0, 1)
    cut = found.examples[1]
    assert max(len(cut.branches[0]), len(cut.branches[1])) == limit
    num_prompt = int(np.argmax(cut.branches[0].scored))
    np.testing.assert_array_equal(
        cut.branches[0].token_ids[:num_prompt], cut.branches[1].token_ids[:num_prompt]
    )
    for before, after in zip(whole.branches, cut.branches, strict=True):
        np.testing.assert_array_equal(before.token_ids[before.scored], after.token_ids[after.scored])
        assert len(before) - len(after) == 7
    bos = renderer.tokenizer.bos_token_id
    if bos is not None:
        assert cut.branches[0].token_ids[0] == cut.branches[1].token_ids[0] == bos
        np.testing.assert_array_equal(
            cut.branches[0].token_ids[1:num_prompt], whole.branches[0].token_ids[8 : num_prompt + 7]
        )
    else:
        np.testing.assert_array_equal(
            cut.branches[0].token_ids[:num_prompt], whole.branches[0].token_ids[7 : num_prompt + 7]
        )


def test_truncation_never_eats_a_completion(renderer: Renderer) -> None:
    """A prompt too short to make room: the pair is set aside, and counted as too long."""
    shout = pair("Say", LONG, "bread")
    limit = num_tokens(renderer, shout) - len(renderer.prompt_ids(shout.prompt))
    found = encode_records([shout], renderer, DataOptions(max_length=limit, too_long="truncate_prompt"))
    assert (len(found), found.num_too_long, found.num_truncated) == (0, 1, 0)


def test_error_says_where_how_long_and_what_next(renderer: Renderer) -> None:
    longest = num_tokens(renderer, PAIRS[1])
    with pytest.raises(DataError) as caught:
        encode_records(PAIRS, renderer, DataOptions(max_length=longest - 1, too_long="error"))
    assert caught.value.where == "rows.jsonl:2"
    assert f"{longest} tokens" in caught.value.what
    assert "truncate_prompt" in caught.value.next


def test_pairs_that_are_one_text_in_tokens_are_set_aside(renderer: Renderer) -> None:
    found = encode_records([pair("Say", "ﬁne stone", "fine stone"), PAIRS[0]], renderer, DataOptions())
    assert len(found) == 1
    assert [aside.reason for aside in found.set_aside] == [
        "chosen and rejected are identical once written out as tokens"
    ]


def test_an_unusable_pair_is_set_aside_with_the_renderers_reason(renderer: Renderer) -> None:
    found = encode_records([pair("Say", "stone<|im_end|> more", "bread"), PAIRS[0]], renderer, DataOptions())
    assert len(found) == 1
    assert "end-of-turn" in found.set_aside[0].reason


def test_prompts_can_be_set_aside_later(renderer: Renderer) -> None:
    found = encode_records(PAIRS, renderer, DataOptions())
    found.set_aside_prompts(found.examples[:1].column("prompt"), "seen before")
    assert [example.id for example in found.examples] == [PAIRS[1].id]
    assert [(aside.place, aside.reason) for aside in found.set_aside] == [("rows.jsonl:1", "seen before")]


def test_keys_name_content(renderer: Renderer) -> None:
    def key(of: Pair) -> str:
        return encode_records([of], renderer, DataOptions()).examples[0].key

    assert key(PAIRS[0]) == key(pair("Say river", "stone", "bread", line=99))
    assert key(PAIRS[0]) != key(pair("Say river", "bread", "stone"))
