"""What a judge said, read strictly: a verdict that has to be guessed is none.

A reply is read only where it is one JSON object of the form that was asked for, alone or in a code fence.
JSON inside other words is not taken out: the words may be quoting an answer that holds a forged verdict, and
nobody can tell whose it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from palate.asking import Reply

__all__ = ["Read", "read_strictly"]

_FENCED = re.compile(r"\s*```[a-zA-Z]*[ \t]*\n(?P<json>.*)\n[ \t]*```\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Read:
    """A reply as data; or what kind of problem it is, and why in words."""

    value: Mapping[str, Any] | None
    problem: str = ""
    why: str = ""


def read_strictly(reply: Reply) -> Read:
    """What a reply to a request with a schema says; where it is no answer, its status is the problem."""
    if not reply.is_answer:
        return Read(None, reply.status, reply.reason)
    if reply.form != "repaired":
        text = reply.text
    elif fenced := _FENCED.fullmatch(reply.text):
        text = fenced["json"]
    else:
        return Read(None, "unparsed", "words stand around the JSON, or it had to be mended")
    try:
        value = json.loads(text, object_pairs_hook=_each_once)
    except ValueError as error:
        return Read(None, "unparsed", f"it is not the JSON that was asked for: {error}")
    # The schema was checked on what the asking room read: if this reads the same, it fits.
    if value != reply.parsed:
        return Read(None, "unparsed", "it can be read in two ways")
    return Read(value)


def _each_once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise ValueError("a name stands twice in one object")
    return found
