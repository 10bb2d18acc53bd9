"""Answers that have to fit a JSON schema: asking for them, reading them, mending what is only badly written.

Mending is for form (code fences, words before and after, a trailing comma), never for missing content:
half an answer is not made whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from palate.asking.requests import AskedForm
from palate.asking.wording import quoted
from palate.errors import CallError
from palate.records import Message, Messages

__all__ = ["Parsed", "check_schema", "parse_answer", "response_format", "with_schema_in_prompt"]

_FENCE = re.compile(r"```[a-zA-Z0-9]*\s*\n(.*?)\n?\s*```", re.DOTALL)
_CLOSES = {"{": "}", "[": "]"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an answer says, or why it fits nothing. `value` may be None and right: look at `problem`."""

    value: Any = None
    repaired: bool = False
    problem: str = ""


def check_schema(schema: Mapping[str, Any]) -> None:
    """See that a schema is one.

    Raises:
        CallError: it is not.
    """
    from jsonschema.exceptions import SchemaError

    try:
        _check_schema(json.dumps(schema, sort_keys=True))
    except SchemaError as error:
        raise CallError(
            f"not a JSON schema: {quoted(error.message)}", where=f"schema{error.json_path[1:]}"
        ) from None
    if elsewhere := [target for target in _references(schema) if not target.startswith("#")]:
        raise CallError(
            f"the schema refers to {quoted(elsewhere[0], 80)}",
            where="schema",
            why="nothing is fetched to read an answer",
            next="write what it refers to under $defs, and refer to #/$defs/...",
        )


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for inner in schema.values():
            yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


def response_format(schema: Mapping[str, Any], form: AskedForm) -> dict[str, Any] | None:
    """What a request says about the form of its answer."""
    if form == "schema":
        return {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": dict(schema), "strict": True},
        }
    return {"type": "json_object"} if form == "json_mode" else None


def with_schema_in_prompt(messages: Messages, schema: Mapping[str, Any]) -> Messages:
    """The messages for a server that cannot hold to the schema: it stands at the end of the last of them."""
    wanted = (
        "Answer with one JSON value and nothing else: no words before or after it, no code fence. "
        f"It has to fit this JSON schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )
    if messages and messages[-1].role == "user":
        last = messages[-1]
        return (*messages[:-1], Message("user", f"{last.content}\n\n{wanted}"))
    return (*messages, Message("user", wanted))


def parse_answer(text: str, schema: Mapping[str, Any]) -> Parsed:
    """Read an answer strictly; where that fails, mend its form and read again. Either way it has to fit."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        pass
    else:
        problem = _misfit(value, schema)
        if not problem:
            return Parsed(value)
        return Parsed(problem=problem)
    candidate, problem = _json_in(text)
    if problem:
        return Parsed(problem=problem)
    try:
        value = _mended(candidate)
    except (ValueError, RecursionError) as error:
        return Parsed(problem=f"it is no JSON: {quoted(str(error), 120)}")
    problem = _misfit(value, schema)
    return Parsed(problem=problem) if problem else Parsed(value, repaired=True)


def _mended(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        import json_repair

        return json_repair.loads(text, skip_json_loads=True)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _json_in(text: str) -> tuple[str, str]:
    """The JSON that a text holds, from its first bracket to the one that closes it; or why there is none."""
    fenced = [block for block in _FENCE.findall(text) if block.lstrip()[:1] in _CLOSES]
    text = fenced[0] if fenced else text
    starts = [place for place in (text.find("{"), text.find("[")) if place >= 0]
    if not starts:
        return "", f"it holds no JSON: {quoted(text, 80)}" if text.strip() else "it holds no JSON"
    start = min(starts)
    end = _closing(text, start)
    if end is None:
        return "", "its JSON is cut off: a bracket never closes"
    return text[start : end + 1], ""


def _closing(text: str, start: int) -> int | None:
    """Where the bracket at `start` closes; quotation marks inside a string do not end it by themselves."""
    expected: list[str] = []
    in_string = escaped = False
    for place in range(start, len(text)):
        character = text[place]
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"' and _ends_string(text, place):
                in_string = False
        elif character == '"':
            in_string = True
        elif character in _CLOSES:
            expected.append(_CLOSES[character])
        elif character in "}]":
            if not expected or expected.pop() != character:
                return None
            if not expected:
                return place
    return None


def _ends_string(text: str, place: int) -> bool:
    """A quotation mark ends a string where JSON can go on after it; models forget to escape the others."""
    following = text[place + 1 : place + 200].lstrip()
    return not following or following[0] in ",:}]"


@lru_cache(maxsize=64)
def _check_schema(schema: str) -> None:
    from jsonschema.validators import Draft202012Validator, validator_for

    content = json.loads(schema)
    validator_for(content, default=Draft202012Validator).check_schema(content)


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    content = json.loads(schema)
    # An empty registry: a schema must not have anything fetched from the network.
    return validator_for(content, default=Draft202012Validator)(content, registry=Registry())


def _misfit(value: Any, schema: Mapping[str, Any]) -> str:
    """Why a value does not fit, or nothing."""
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    error: Any
    try:
        error = best_match(_validator(json.dumps(schema, sort_keys=True)).iter_errors(value))
    except RecursionError:
        return "it is nested too deeply"
    except Unresolvable:
        return "the schema refers to what is not there"
    if error is None:
        return ""
    return f"it does not fit the schema at {quoted(error.json_path, 60)}: {quoted(error.message, 160)}"
