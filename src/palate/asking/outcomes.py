"""What an attempt came to: a response to keep, another attempt, or the end for this request or for all.

Pure: nothing here sends, waits or writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from palate.asking.replies import ABORTED
from palate.asking.requests import AskedForm
from palate.asking.wording import quoted

__all__ = ["Outcome", "OutcomeKind", "Received", "outcome_of", "retry_after_seconds"]

OutcomeKind = Literal[
    "good", "again", "rejected", "simpler_form", "other_limit_name", "no_access", "no_model", "no_money"
]
"""`good` is kept and read; `again` is tried again; `rejected` fails at once. `simpler_form`: the server does
not know the form of answer that was asked for; `other_limit_name`: it has another name for `max_tokens`.
`no_access`, `no_model`, `no_money`: the key, the model or the account is refused."""

_FORM_WORDS = re.compile(
    r"response_format|json_schema|json_object|structured[ _]outputs?|grammar|schema|guided", re.IGNORECASE
)
_MONEY_WORDS = re.compile(
    r"insufficient_quota|billing_hard_limit|insufficient[_ ]balance|insufficient[_ ]credits"
)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_HELD_TO_FORM = (400, 404, 415, 422, 500, 501)
_WORTH_ANOTHER = (408, 409, 421, 425, 429)


@dataclass(frozen=True, slots=True)
class Received:
    """What came back from one attempt: a response, or the `problem` that there is none."""

    http_status: int | None = None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    problem: str = ""
    may_have_been_answered: bool = False
    """Without a response: whether the server may have worked, and billed, all the same."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to do about what came back, and why."""

    kind: OutcomeKind
    reason: str = ""
    retry_after_seconds: float | None = None
    holds_everyone: bool = False
    """The server is pressed too hard: it is not this request's fault."""
    may_be_billed: bool = False


def outcome_of(received: Received, asked_form: AskedForm = "text") -> Outcome:
    """Read a response's status and, where that is fine, see that its body is a chat completion."""
    if received.http_status is None:
        return Outcome("again", received.problem, may_be_billed=received.may_have_been_answered)
    status = received.http_status
    if 200 <= status < 300:
        return _of_fine_status(received)
    words = _words(received.body)
    reason = f"HTTP {status}: {words}" if words else f"HTTP {status}"
    text = received.body[:20_000].decode("utf-8", "replace")
    return _of_error(status, reason, text, received.headers, asked_form)


def retry_after_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """The pause that a server asks for, in seconds; None where it asks for none that can be read."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after", "").strip()
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value)
        date = parsedate_to_datetime(value)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _of_error(
    status: int, reason: str, text: str, headers: Mapping[str, str], asked_form: AskedForm
) -> Outcome:
    if asked_form != "text" and status in _HELD_TO_FORM and _FORM_WORDS.search(text):
        return Outcome("simpler_form", reason)
    if status == 400 and "max_completion_tokens" in text:
        return Outcome("other_limit_name", reason)
    if status == 402 or _MONEY_WORDS.search(text):
        return Outcome("no_money", reason)
    if status in (401, 403):
        return Outcome("no_access", reason)
    if status == 404:
        return Outcome("no_model", reason)
    if status >= 500 or status in _WORTH_ANOTHER:
        after = retry_after_seconds(headers)
        pressed = status == 429 or (status == 503 and after is not None)
        return Outcome("again", reason, after, holds_everyone=pressed)
    if 300 <= status < 400:
        target = quoted(headers.get("location", "nowhere"), 120)
        return Outcome("rejected", f"HTTP {status}: the server points to {target}: name that as the base URL")
    return Outcome("rejected", reason)


def _of_fine_status(received: Received) -> Outcome:
    try:
        body = json.loads(received.body.decode("utf-8-sig", "replace"), strict=False)
    except (ValueError, RecursionError):
        return Outcome("again", _no_json(received), may_be_billed=True)
    if isinstance(body, dict) and body.get("error") and not body.get("choices"):
        return _of_error_inside(body["error"], received)
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list):
        return Outcome("again", "HTTP 200, and the JSON is no chat completion", may_be_billed=True)
    if body["choices"]:
        choice = body["choices"][0]
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            return Outcome("again", "HTTP 200, and its choice has no message", may_be_billed=True)
        if str(choice.get("finish_reason")).lower() in ABORTED:
            reason = f"the server broke off: finish_reason {quoted(str(choice['finish_reason']), 40)}"
            return Outcome("again", reason, may_be_billed=True)
    return Outcome("good")


def _of_error_inside(error: Any, received: Received) -> Outcome:
    """Some gateways put the error that they were given under a status that says all is well."""
    code = error.get("code") if isinstance(error, dict) else None
    words = _error_words(error)
    reason = f"HTTP 200 with an error inside: {words}"
    if isinstance(code, int) and 400 <= code < 600:
        return _of_error(code, reason, json.dumps(error)[:20_000], received.headers, "text")
    return Outcome("again", reason)


def _no_json(received: Received) -> str:
    body, status = received.body, f"HTTP {received.http_status}"
    if not body.strip():
        return f"{status}, and the body is empty"
    if body.lstrip()[:1] == b"<":
        title = _TITLE.search(body[:20_000])
        named = f" ({quoted(title[1].decode('utf-8', 'replace'), 80)})" if title else ""
        return f"{status}, and the body is HTML{named}"
    return f"{status}, and the body is no JSON, or is cut off"


def _words(body: bytes) -> str:
    """What a server says about an error, from the places where servers say it."""
    text = body[:20_000].decode("utf-8", "replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        title = _TITLE.search(body[:20_000])
        return quoted(title[1].decode("utf-8", "replace") if title else text)
    if isinstance(content, dict):
        return _error_words(
            content.get("error") or content.get("message") or content.get("detail") or content
        )
    return quoted(text)


def _error_words(error: Any) -> str:
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return quoted(error["message"])
    return quoted(error if isinstance(error, str) else json.dumps(error, ensure_ascii=False))
