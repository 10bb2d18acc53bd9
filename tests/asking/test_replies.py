"""Reading chat completions as many servers write them. Only an answer is an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asking_scene import SCHEMA, question
from hypothesis import given
from hypothesis import strategies as st

from palate.asking import Price, PriceList, Reply, Request, Stored, Usage, chat_completion, read_reply


def read(body: Any, request: Request | None = None, **how: Any) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_reply(request or question("hi", max_tokens=50), Stored("key", raw, **how))


def said(content: Any, finish_reason: Any = "stop", **message: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish_reason}
    return {"model": "m-1", "choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


@pytest.mark.parametrize("finish", ["stop", "eos", "stop_sequence", "end_turn", None, "something new"])
def test_an_answer_is_one_whatever_the_server_calls_its_end(finish: str | None) -> None:
    reply = read(said("Yes.", finish))
    assert (reply.status, reply.text, reply.reason, reply.finish_reason) == ("answered", "Yes.", "", finish)
    assert (reply.model, reply.usage) == ("m-1", Usage(7, 3))


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (said("Half", "length"), "truncated", "limit of 50 tokens"),
        (said("Half", "max_tokens"), "truncated", "limit of 50 tokens"),
        (said("", "content_filter"), "refused", "a filter stopped it"),
        (said(None, refusal="No."), "refused", "the model declined: No."),
        (said([{"type": "refusal", "refusal": "No."}]), "refused", "the model declined: No."),
        (said("I'm sorry, but I can't help with that."), "refused", "reads like a refusal"),
        (said("很抱歉，我无法提供相关内容。"), "refused", "reads like a refusal"),
        (said(" \n"), "empty", "no text"),
        (said(None), "empty", "no text"),
        (said(None, reasoning_content="Hm."), "empty", "reasoning and no answer"),
        (said(None, "tool_calls", tool_calls=[{"id": "1"}]), "empty", "called a tool"),
        (said("<think>Hm, and"), "truncated", "reasoning did not end"),
        (said("Well", "abort"), "failed", "broke off"),
        ({"choices": []}, "empty", "no choices"),
        ({"choices": [{"text": "old"}]}, "failed", "no message"),
        ({"error": "no"}, "failed", "no chat completion"),
        ([], "failed", "no chat completion"),
        (b"<html>", "failed", "cannot be read"),
        (b"[" * 100_000, "failed", "cannot be read"),
        (b"\xff\xfe", "failed", "cannot be read"),
    ],
)
def test_what_is_no_answer_says_why(body: Any, status: str, reason: str) -> None:
    reply = read(body)
    assert reply.status == status
    assert reason in reply.reason
    assert not reply.is_answer


def test_without_a_finish_reason_all_tokens_used_means_cut_off() -> None:
    body = said("Half", None)
    assert read(body, question("hi", max_tokens=3)).status == "truncated"
    assert read(body, question("hi", max_tokens=4)).status == "answered"


def test_parts_are_joined_and_leading_thoughts_taken_off() -> None:
    parts = [{"type": "text", "text": "One "}, "noise", {"type": "image"}, {"type": "text", "text": "two."}]
    assert read(said(parts)).text == "One two."
    assert read(said("<think>\nHm.\n</think>\n\nYes.")).text == "Yes."
    assert read(said("Say <think>x</think> aloud.")).text == "Say <think>x</think> aloud."


@pytest.mark.parametrize("mark", ["\ud83d", "\0"])
def test_what_no_file_can_hold_is_no_answer(mark: str) -> None:
    """One such answer, as a cut-off emoji leaves it, would keep all others from being written."""
    reply = read(said(f"Half {mark} of it."))
    assert (reply.status, reply.is_answer) == ("unparsed", False) and "surrogate" in reply.reason
    escaped = json.dumps({"title": f"A {mark} title", "score": 1})
    held = read(said(escaped), question("hi", schema=SCHEMA))
    assert (held.status, held.parsed) == ("unparsed", None) and "surrogate" in held.reason


def test_a_byte_order_mark_is_no_part_of_a_body() -> None:
    assert read(b"\xef\xbb\xbf" + json.dumps(said("Yes.")).encode()).text == "Yes."


def test_thoughts_whose_opening_tag_was_in_the_prompt_are_taken_off() -> None:
    assert read(said("So, hm.\n\nYes?\n</think>\n\nYes.")).text == "Yes."
    for text in ("Close it with </think> and go on.", "Write\n<think>\nx\n</think>\nlike so."):
        assert read(said(text)).text == text
    reply = read(said("So, hm.\n</think>\n\n"))
    assert (reply.status, reply.text) == ("empty", "")


@pytest.mark.parametrize(
    "usage", [None, "many", {}, {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": True}]
)
def test_uncounted_tokens_are_estimated_and_flagged(usage: Any) -> None:
    """`hi` is 1 token and 8 around the message; `Yes.` is 4 characters: 2 tokens of three."""
    body = said("Yes.") | {"usage": usage}
    assert read(body).usage == Usage(1 + 8, 2, estimated=True)


def test_cost_counts_cached_tokens_at_their_own_rate() -> None:
    """600 at 2 and 400 at 0.5 per million, and 100 at 10: 1200 + 200 + 1000 millionths."""
    body = said("Yes.") | {
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "prompt_tokens_details": {"cached_tokens": 400},
        }
    }
    prices = PriceList({"m*": Price(2, 10, 0.5)}, "USD")
    reply = read_reply(question("hi"), Stored("key", json.dumps(body).encode()), prices)
    assert reply.cost == pytest.approx(2400e-6)
    assert read_reply(question("hi", model="x"), Stored("key", b"{}"), prices).cost is None


def test_structure_is_parsed_and_its_form_kept() -> None:
    asked = question("hi", schema=SCHEMA)
    good = '{"title": "T", "score": 3}'
    reply = read(said(good), asked, asked_form="schema")
    assert (reply.status, reply.parsed, reply.form) == ("answered", {"title": "T", "score": 3}, "schema")
    assert read(said(good), asked, asked_form="json_mode").form == "json_mode"
    assert read(said(f"```json\n{good}\n```"), asked, asked_form="schema").form == "repaired"
    assert read(said("Three."), asked).status == "unparsed"
    assert read(said("I cannot help with that."), asked).status == "refused"


def test_half_an_answer_is_never_made_whole() -> None:
    """Even where the half fits: an optional part may be what is missing."""
    asked = question("hi", schema={"type": "object"})
    reply = read(said('{"title": "T"}', "length"), asked)
    assert (reply.status, reply.parsed) == ("truncated", None)
    assert read(said('{"title": "T", "list": [1, 2'), asked).status == "unparsed"


def test_a_body_of_our_own_is_read_back() -> None:
    body = chat_completion("Half \ud83d", model="local", finish_reason="length", usage=Usage(5, 6))
    reply = read(body)
    assert (reply.status, reply.text, reply.usage, reply.model) == (
        "truncated", "Half \ud83d", Usage(5, 6), "local",
    )  # fmt: skip


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["choices", "message", "content", "usage", "finish_reason", "type", "text"]), inner,
        max_size=4,
    ),
)  # fmt: skip


@given(JSON, st.booleans())
def test_no_body_makes_it_raise(body: Any, with_schema: bool) -> None:
    asked = question("hi", schema=SCHEMA if with_schema else None)
    assert read(body, asked).is_new is False
    read({"choices": [{"message": body, "finish_reason": body}], "usage": body, "model": body}, asked)


@given(st.binary(max_size=60))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    assert read(body).status != "answered"
