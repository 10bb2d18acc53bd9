"""What a response comes to, by its status, headers and body."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.asking.outcomes import Received, outcome_of, retry_after_seconds

FINE = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}


def received(status: int, body: Any = "", **headers: str) -> Received:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Received(status, raw, {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (200, FINE, "good", ""),
        (200, {"choices": []}, "good", ""),
        (200, b"<html><title>Sign in</title>", "again", "HTML (Sign in)"),
        (200, b"\xef\xbb\xbf" + json.dumps(FINE).encode(), "good", ""),
        (200, b"", "again", "HTTP 200, and the body is empty"),
        (204, b"", "again", "HTTP 204, and the body is empty"),
        (200, b'{"choices": [', "again", "cut off"),
        (200, b"data: {}\n\n", "again", "no JSON"),
        (200, {"ok": True}, "again", "no chat completion"),
        (200, {"choices": [{"message": None}]}, "again", "no message"),
        (200, {"choices": [{"message": {}, "finish_reason": "abort"}]}, "again", "broke off"),
        (200, {"error": {"message": "full", "code": 429}}, "again", "error inside: full"),
        (200, {"error": {"message": "bad", "code": 400}}, "rejected", "error inside: bad"),
        (200, {"error": {"message": "pay", "code": 402}}, "no_money", "error inside: pay"),
        (200, {"error": "what"}, "again", "error inside: what"),
        (500, {"error": {"message": "down"}}, "again", "HTTP 500: down"),
        (503, b"<html><title>Down</title></html>", "again", "HTTP 503: Down"),
        (408, "", "again", "HTTP 408"),
        (429, {"error": {"message": "slow"}}, "again", "HTTP 429: slow"),
        (429, {"error": {"message": "x", "code": "insufficient_quota"}}, "no_money", "HTTP 429"),
        (402, {"detail": "pay"}, "no_money", "HTTP 402: pay"),
        (401, {"message": "who"}, "no_access", "HTTP 401: who"),
        (403, "", "no_access", "HTTP 403"),
        (404, "", "no_model", "HTTP 404"),
        (400, {"error": {"message": "long\x1b[2J\nprompt"}}, "rejected", "HTTP 400: long [2J prompt"),
        (400, {"error": "use max_completion_tokens"}, "other_limit_name", ""),
        (413, "", "rejected", "HTTP 413"),
        (307, "", "rejected", "points to"),
    ],
)
def test_status_and_body(status: int, body: Any, kind: str, reason: str) -> None:
    outcome = outcome_of(received(status, body))
    assert outcome.kind == kind
    assert reason in outcome.reason


def test_a_form_that_the_server_does_not_know_is_told_from_other_errors() -> None:
    unknown = received(400, {"error": {"message": "response_format is not supported"}})
    assert outcome_of(unknown, "schema").kind == "simpler_form"
    assert outcome_of(unknown, "json_mode").kind == "simpler_form"
    assert outcome_of(unknown, "text").kind == "rejected"
    assert outcome_of(received(400, {"error": "prompt too long"}), "schema").kind == "rejected"


def test_only_what_presses_the_server_holds_everyone() -> None:
    assert outcome_of(received(429)).holds_everyone
    assert outcome_of(received(503, retry_after="2")).holds_everyone
    assert not outcome_of(received(503)).holds_everyone
    assert not outcome_of(received(500, retry_after="2")).holds_everyone


def test_what_may_have_been_billed() -> None:
    assert outcome_of(received(200, b"{")).may_be_billed
    assert outcome_of(Received(problem="broke", may_have_been_answered=True)).may_be_billed
    assert not outcome_of(Received(problem="no connection")).may_be_billed
    assert not outcome_of(received(500)).may_be_billed


NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": format_datetime(datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC), usegmt=True)}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after-ms": "x"}, None),
        ({}, None),
    ],
)
def test_the_pause_that_is_asked_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, NOW) == seconds


@given(st.integers(100, 599), st.binary(max_size=80), st.text(max_size=20))
def test_nothing_received_makes_it_raise(status: int, body: bytes, after: str) -> None:
    outcome = outcome_of(Received(status, body, {"retry-after": after}), "schema")
    assert outcome.kind == "good" or outcome.reason
