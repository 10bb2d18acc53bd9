"""Asking a server that misbehaves: every good answer is kept, and every bad one explained."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking_scene import SCHEMA, question, quick
from fake_server import answer_for

from palate.asking import Endpoint, Price, PriceList, Reply, Request, ResponseStore
from palate.errors import CallError
from palate.watcher import Watcher
from running_server import RunningServer

Make = Callable[..., Endpoint]


def one(endpoint: Endpoint, request: Request) -> Reply:
    [reply] = endpoint.ask([request])
    return reply


def test_a_good_answer(server: RunningServer, endpoint: Make) -> None:
    asked = question("hello", seed=5, stop=("\n\n",), top_p=0.9, extra={"min_p": 0.1})
    reply = one(endpoint(), asked)
    assert (reply.status, reply.text, reply.is_new) == ("answered", answer_for("hello", 5), True)
    assert (reply.model, reply.usage.completion_tokens, reply.finish_reason) == ("m-2026", 8, "stop")
    [arrival] = server.arrivals()
    assert (arrival["seed"], arrival["path"]) == (5, "/v1/chat/completions")


@pytest.mark.parametrize(
    "script",
    ["status:500", "status:502", "status:503", "status:408", "busy:0.05", "busy:date", "busy", "reset",
     "reset_in_body", "cut", "html", "half_body", "error_inside:502", "finish:abort"],
)  # fmt: skip
def test_what_passes_is_asked_again(
    script: str, server: RunningServer, endpoint: Make, store: ResponseStore
) -> None:
    here, asked = endpoint(), question(f"<<{script};{script};ok>>")
    reply = one(here, asked)
    assert (reply.status, reply.text) == ("answered", answer_for(asked.messages[0].content))
    assert len(server.arrivals()) == 3
    assert [attempt.number for attempt in store.attempts(here.server, asked)] == [1, 2]
    stored = store.get(here.server, asked)
    assert stored is not None
    assert stored.attempts == 3
    assert here.account.as_dict()["models"]["m"]["num_retries"] == 2


@pytest.mark.parametrize(
    ("script", "reason", "times"),
    [
        ("status:500", "HTTP 500: status 500 was asked for", 4),
        ("busy:0.01", "HTTP 429: Too many requests", 4),
        ("reset", "the connection broke", 4),
        ("reset_in_body", "the connection broke", 4),
        ("cut", "the connection broke", 4),
        ("html", "the body is HTML (Bad gateway)", 4),
        ("half_body", "no JSON, or is cut off", 4),
        ("error_inside:502", "an error inside: upstream failed", 4),
        ("status:400", "HTTP 400: status 400 was asked for", 1),
        ("status:422", "HTTP 422", 1),
        ("status:302", "points to nowhere", 1),
    ],
)
def test_what_does_not_pass_fails_with_its_reason(
    script: str, reason: str, times: int, server: RunningServer, endpoint: Make, store: ResponseStore
) -> None:
    here, asked = endpoint(), question(f"<<{script}>>")
    reply = one(here, asked)
    assert reply.status == "failed"
    assert reason in reply.reason
    assert len(server.arrivals()) == times
    assert [reason in attempt.reason for attempt in store.attempts(here.server, asked)] == [True] * times
    assert store.get(here.server, asked) is None


@pytest.mark.parametrize("script", ["never", "trickle"])
def test_an_attempt_ends_in_time_however_slowly_bytes_come(script: str, endpoint: Make) -> None:
    here = endpoint(limits={"timeout_seconds": 0.3, "max_attempts": 2})
    fine, bad = sorted(here.ask([question("fine"), question(f"<<{script}>>")]), key=lambda r: r.status)
    assert (fine.status, bad.status) == ("answered", "failed")
    assert "no whole answer within 0.3 seconds" in bad.reason


def test_a_body_without_end_is_refused(endpoint: Make) -> None:
    reply = one(endpoint(limits={"max_attempts": 1}), question("<<huge>>"))
    assert (reply.status, reply.text) == ("failed", "")
    assert "longer than 64 MB" in reply.reason


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("length", "truncated"), ("used_up", "truncated"), ("finish:content_filter", "refused"),
        ("refusal", "refused"), ("text:I'm sorry, but I can't help with that.", "refused"),
        ("no_choices", "empty"), ("null", "empty"), ("tool", "empty"), ("reasoning", "empty"),
        ("text:", "empty"), ("no_usage", "answered"), ("no_finish", "answered"), ("finish:eos", "answered"),
        ("parts", "answered"), ("think", "answered"), ("wrong_type", "answered"), ("slow:0.05", "answered"),
        ("surrogate", "unparsed"),
    ],
)  # fmt: skip
def test_what_was_said_is_stored_once_and_read_the_same_again(
    script: str, status: str, server: RunningServer, endpoint: Make
) -> None:
    asked = question(f"<<{script}>>")
    first = one(endpoint(), asked)
    again = one(endpoint(), asked)
    assert first.status == status
    assert (first.is_new, again.is_new) == (True, False)
    assert replace(first, is_new=False) == again
    assert len(server.arrivals()) == 1
    if script in ("parts", "think", "no_finish", "no_usage"):
        assert first.text == answer_for(asked.messages[0].content)


@pytest.mark.parametrize(
    ("model", "form", "forms_sent"),
    [
        ("m", "schema", ["json_schema", "json_schema"]),
        ("no-schema", "json_mode", ["json_schema", "json_object", "json_object"]),
        ("no-forms", "text", ["json_schema", "json_object", None, None]),
        ("new-names", "schema", ["json_schema", "json_schema", "json_schema"]),
    ],
)
def test_what_a_server_cannot_do_is_learnt_once(
    model: str, form: str, forms_sent: list[str | None], server: RunningServer, endpoint: Make
) -> None:
    here = endpoint()
    for text in ("one", "two"):
        reply = one(here, question(text, model=model, schema=SCHEMA))
        assert (reply.status, reply.form) == ("answered", form)
        assert set(reply.parsed) == {"title", "score"}
    assert [arrival["form"] for arrival in server.arrivals()] == forms_sent
    assert one(here, question("one", model=model, schema=SCHEMA)).form == form


def test_several_in_flight_learn_the_same(endpoint: Make) -> None:
    asked = [
        question(str(n), model=model, schema=SCHEMA) for n in range(8) for model in ("no-forms", "new-names")
    ]
    assert Counter(reply.status for reply in endpoint().ask(asked)) == {"answered": 16}


def test_a_server_that_calls_any_schema_wrong_fails_with_its_words(endpoint: Make) -> None:
    reply = one(endpoint(), question("<<schema_error>>", schema=SCHEMA))
    assert (reply.status, reply.reason) == ("failed", "HTTP 400: Invalid schema for response_format")


@pytest.mark.parametrize(
    ("script", "status", "form"),
    [("fenced", "answered", "repaired"), ("half_text", "unparsed", "text"), ("length", "truncated", "text")],
)
def test_structure(script: str, status: str, form: str, endpoint: Make) -> None:
    reply = one(endpoint(), question(f"<<{script}>>", schema=SCHEMA))
    assert (reply.status, reply.form, reply.parsed is None) == (status, form, status != "answered")


def test_equal_requests_are_sent_once(server: RunningServer, endpoint: Make) -> None:
    replies = list(endpoint().ask([question("same <<slow:0.1>>")] * 20))
    assert [reply.is_new for reply in replies].count(True) == 1
    assert {reply.text for reply in replies} == {answer_for("same <<slow:0.1>>")}
    assert len(server.arrivals()) == 1


def test_a_changed_reader_reads_what_was_paid_for(
    server: RunningServer, endpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = question("<<half_text>>", schema=SCHEMA)
    assert one(endpoint(), asked).status == "unparsed"
    from palate.asking import replies
    from palate.asking.structured import Parsed

    monkeypatch.setattr(replies, "parse_answer", lambda text, schema: Parsed({"read": text}))
    reply = one(endpoint(), asked)
    assert (reply.status, reply.is_new) == ("answered", False)
    assert len(server.arrivals()) == 1


GOOD = [
    "ok",
    "status:500;ok",
    "busy:0.01;ok",
    "reset;ok",
    "html;ok",
    "parts",
    "no_usage",
    "no_finish",
    "think",
]
BAD = ["length", "refusal", "null", "status:400", "status:500", "html", "cut", "no_choices"]


def test_a_mixed_run_keeps_every_good_answer_and_explains_every_bad_one(
    server: RunningServer, endpoint: Make, store: ResponseStore
) -> None:
    scripts = [(GOOD + BAD)[number % len(GOOD + BAD)] for number in range(306)]
    asked = [question(f"{number} <<{script}>>", seed=number) for number, script in enumerate(scripts)]
    here = endpoint(limits={"concurrency": 16})
    replies = {reply.request.messages: reply for reply in here.ask(iter(asked))}
    assert len(replies) == 306
    for script, request in zip(scripts, asked, strict=True):
        reply = replies[request.messages]
        if script in GOOD:
            assert (reply.status, reply.text) == (
                "answered", answer_for(request.messages[0].content, request.seed),
            )  # fmt: skip
        else:
            assert reply.status != "answered"
            assert reply.reason
            assert reply.status != "failed" or store.attempts(here.server, request)
    num_failed = sum(reply.status == "failed" for reply in replies.values())
    assert len(store) == 306 - num_failed
    before = len(server.arrivals())
    again = {reply.request.messages: reply for reply in endpoint(limits={"concurrency": 16}).ask(asked)}
    assert len(server.arrivals()) - before == sum(
        4 if script == "status:500" or script in ("html", "cut") else 1
        for script in scripts
        if script in ("status:400", "status:500", "html", "cut")
    ), "only what has no response is asked again"
    for messages, reply in replies.items():
        expected = reply if reply.status == "failed" else replace(reply, is_new=False)
        assert replace(again[messages], reason="") == replace(expected, reason="")


def test_the_account_adds_up(endpoint: Make) -> None:
    here = endpoint(prices=PriceList({"m": Price(100, 1000)}, "USD"))
    list(here.ask([question("a"), question("b"), question("<<length>>"), question("<<status:400>>")]))
    list(here.ask([question("a"), question("<<no_usage>>", model="unpriced")]))
    account = here.account.as_dict()
    m = account["models"]["m"]
    # 10 tokens in and 8 out each: 10 * 100 + 8 * 1000 millionths, for three.
    assert m["cost"] == pytest.approx(3 * 0.009)
    assert m["stored_cost"] == pytest.approx(0.009)
    assert (m["num_requests"], m["num_new"], m["num_stored"], m["num_without_response"]) == (5, 3, 1, 1)
    assert (m["prompt_tokens"], m["completion_tokens"]) == (30, 24)
    assert m["statuses"] == {"answered": 3, "truncated": 1, "failed": 1}
    assert {(r["status"], r["count"]) for r in m["reasons"]} == {("truncated", 1), ("failed", 1)}
    assert account["models"]["unpriced"]["num_estimated"] == 1
    assert (account["cost"], account["currency"]) == (None, "USD")
    assert account["wall_seconds"] > 0
    json.dumps(account)


def test_a_watcher_is_told(endpoint: Make) -> None:
    told: list[Any] = []

    class Told(Watcher):
        def begin(self, task: str, total: int) -> None:
            told.append((task, total))

        def advance(self, done: int, detail: str = "") -> None:
            told.append((done, detail))

        def end(self) -> None:
            told.append("end")

    list(endpoint(limits={"concurrency": 1}).ask([question("a"), question("<<null>>")], Told()))
    assert told == [("asking", 2), (1, ""), (2, "1 without an answer"), "end"]


def test_what_cannot_be_sent_is_told_before_anything_is(server: RunningServer, endpoint: Make) -> None:
    for wrong, told in [
        (question("x", extra={"n": 3, "stream": True}), "extra has n, stream"),
        (question("x", schema={"type": "thing"}), "not a JSON schema"),
    ]:
        with pytest.raises(CallError, match=told):
            one(endpoint(), wrong)
    assert server.arrivals() == []


def test_requests_are_taken_as_there_is_room(endpoint: Make) -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield question(str(taken))

    replies = endpoint(limits={"concurrency": 2}).ask(endless())
    for _ in range(10):
        next(replies)
    replies.close()  # type: ignore[attr-defined]
    assert taken <= 10 + 2 * 2


def test_a_source_that_fails_is_not_swallowed(endpoint: Make) -> None:
    def failing() -> Any:
        yield question("a")
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        list(endpoint().ask(failing()))


def test_the_same_answers_whoever_asks_at_once(server: RunningServer, tmp_path: Path) -> None:
    """Two endpoints on one file: each may ask what the other has in flight, and both end with one answer."""
    asked = [question(f"{number} <<slow:0.02>>") for number in range(30)]
    with ResponseStore(tmp_path / "s") as one_store, ResponseStore(tmp_path / "s") as other_store:
        first = Endpoint(server.base_url, store=one_store, limits=quick(concurrency=4)).ask(asked)
        second = Endpoint(server.base_url, store=other_store, limits=quick(concurrency=4)).ask(asked)
        texts: list[dict[str, str]] = [{}, {}]
        for one_reply, other_reply in zip(first, second, strict=True):
            texts[0][one_reply.request.messages[0].content] = one_reply.text
            texts[1][other_reply.request.messages[0].content] = other_reply.text
        assert texts[0] == texts[1]
        assert len(one_store) == 30
