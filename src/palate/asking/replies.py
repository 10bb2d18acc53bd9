"""What a response means: a raw chat completion read into a reply, the same way fresh or from the store."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from palate.asking.estimates import estimate_usage
from palate.asking.prices import PriceList
from palate.asking.refusals import declining_words
from palate.asking.requests import Reply, Request, Status, Usage
from palate.asking.store import Stored
from palate.asking.structured import parse_answer
from palate.asking.wording import quoted

__all__ = ["ABORTED", "chat_completion", "read_reply"]

ABORTED = frozenset({"abort", "aborted", "error", "cancelled", "insufficient_system_resource"})
"""Finish reasons by which servers say that they broke off."""
_LENGTH = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
_FILTERED = frozenset({"content_filter", "content-filter", "safety", "refusal", "prohibited_content"})
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""What no file of texts can hold: half of a surrogate pair, as a cut-off emoji leaves it, and NUL."""
_REASONING = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)
_REASONING_BEGUN_BEFORE = re.compile(r"(?:(?!<think>).)*?\n[ \t]*</think>\s*", re.DOTALL)
"""Where the chat template itself writes the opening tag, the text begins within."""


_NO_TEXT_REASON = "it holds half of a surrogate pair or a NUL, which no file of texts can hold"


@dataclass(frozen=True, slots=True)
class _Said:
    """The parts of a body that matter, whichever server wrote it."""

    text: str
    refusal: str
    finish_reason: str | None
    usage: Usage | None
    model: str
    note: str
    """What there was in place of text."""


def read_reply(
    request: Request, stored: Stored, prices: PriceList | None = None, *, is_new: bool = False
) -> Reply:
    """Read a stored response. A body that cannot be read is a reply that says so, never an exception.

    A block of reasoning that some servers leave at the start of the text, `<think>...</think>`, is taken off,
    also where its opening tag was in the prompt: then `</think>` stands on a line of its own.
    Without a finish reason, an answer that used up `max_tokens` counts as truncated.
    """
    try:
        said = _said(json.loads(stored.body.decode("utf-8-sig", "replace"), strict=False))
    except (ValueError, RecursionError) as error:
        return Reply(
            request, "failed", reason=f"the body cannot be read: {quoted(str(error))}", is_new=is_new
        )
    usage = said.usage or estimate_usage(request.messages, said.text)
    reply = Reply(
        request,
        "answered",
        text=said.text,
        finish_reason=said.finish_reason,
        usage=usage,
        cost=None if prices is None else prices.cost(request.model, usage),
        is_new=is_new,
        model=said.model,
    )
    status, reason = _verdict(request, said)
    if status != "answered":
        return replace(reply, status=status, reason=reason)
    if _NO_TEXT.search(said.text):
        return replace(reply, status="unparsed", reason=_NO_TEXT_REASON)
    if request.schema is None:
        words = declining_words(said.text)
        return replace(reply, status="refused", reason=_guess(words)) if words else reply
    parsed = parse_answer(said.text, request.schema)
    if parsed.problem:
        words = declining_words(said.text)
        if words:
            return replace(reply, status="refused", reason=_guess(words))
        return replace(reply, status="unparsed", reason=parsed.problem)
    if _holds_no_text(parsed.value):
        return replace(reply, status="unparsed", reason=_NO_TEXT_REASON)
    return replace(reply, parsed=parsed.value, form="repaired" if parsed.repaired else stored.asked_form)


def chat_completion(text: str, *, model: str, finish_reason: str, usage: Usage) -> bytes:
    """A body as servers send it, for whoever answers without one: what `read_reply` reads.

    Args:
        finish_reason: `stop` or `length`.
    """
    content = {
        "object": "chat.completion",
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": finish_reason,
            }
        ],
        "usage": {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens},
    }
    return json.dumps(content).encode()


def _verdict(request: Request, said: _Said) -> tuple[Status, str]:
    finish = (said.finish_reason or "").lower()
    if finish in ABORTED:
        return "failed", f"the server broke off: finish_reason {quoted(finish, 40)}"
    if said.refusal:
        return "refused", f"the model declined: {quoted(said.refusal)}"
    if finish in _FILTERED:
        return "refused", f"a filter stopped it: finish_reason {quoted(finish, 40)}"
    if finish in _LENGTH:
        return "truncated", f"it ran into the limit of {request.max_tokens} tokens"
    used_up = said.usage is not None and said.usage.completion_tokens >= request.max_tokens
    if not finish and used_up:
        return "truncated", f"it used all of {request.max_tokens} tokens, and no finish reason was given"
    if said.text.lstrip().startswith("<think>"):
        return "truncated", "its reasoning did not end"
    if not said.text.strip():
        return "empty", said.note or "the response has no text"
    return "answered", ""


def _holds_no_text(value: Any) -> bool:
    if isinstance(value, str):
        return _NO_TEXT.search(value) is not None
    if isinstance(value, dict):
        return any(_holds_no_text(part) for item in value.items() for part in item)
    return isinstance(value, list) and any(map(_holds_no_text, value))


def _guess(words: str) -> str:
    return f"it reads like a refusal (told by its wording): {quoted(words, 80)}"


def _said(body: Any) -> _Said:
    """Raises ValueError: this is no chat completion."""
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list):
        raise ValueError("it is no chat completion")
    usage, model = _usage(body.get("usage")), _text(body.get("model"))
    if not body["choices"]:
        return _Said("", "", None, usage, model, "the response has no choices")
    choice = body["choices"][0]
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise ValueError("its choice has no message")
    message = choice["message"]
    text, refusal = _content(message.get("content"))
    note = ""
    if message.get("tool_calls") or message.get("function_call"):
        note = "the model called a tool instead of answering"
    elif message.get("reasoning_content") or message.get("reasoning"):
        note = "the response has reasoning and no answer"
    refusal = _text(message.get("refusal")) or refusal
    finish = choice.get("finish_reason")
    if reasoning := _REASONING.match(text) or _REASONING_BEGUN_BEFORE.match(text):
        text = text[reasoning.end() :]
    return _Said(text, refusal, finish if isinstance(finish, str) else None, usage, model, note)


def _content(content: Any) -> tuple[str, str]:
    """Text and refusal; some servers send a list of parts."""
    if not isinstance(content, list):
        return _text(content), ""
    parts = [part for part in content if isinstance(part, dict)]
    kinds = ("text", "output_text", None)
    text = "".join(_text(part.get("text")) for part in parts if part.get("type") in kinds)
    return text, "".join(_text(part.get("refusal")) for part in parts if part.get("type") == "refusal")


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return Usage(prompt, completion, cached_tokens=cached or 0)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
