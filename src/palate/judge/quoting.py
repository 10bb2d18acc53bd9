"""Text that is judged, quoted so that nothing in it can end the quotation or pass for anything else.

A block is JSON between two lines that share a number:

    <<<begin data 5b0c...>>>
    {"conversation": [...],
    "first": "...",
    "second": "..."}
    <<<end data 5b0c...>>>

The number is a hash of all that stands in the block, and of a seed: the same question is the same request on
every run, and no text can hold the number of a block that it is itself part of. JSON escapes line ends inside
texts, so no text begins a line; what looks like one of these lines, or like a mark of a chat template, has
its first character written as a JSON escape, which no tokenizer reads as a mark of its own. What is read back
is the same text, character for character.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["encode", "quote", "read_blocks"]

_MARKS = re.compile(
    r"<(?=[|｜]|<<|\w+\|>)"  # <|anything|>, <｜anything｜>, <anything|>, and the lines of a block
    r"|(?i:<(?=/?(?:s|bos|eos|pad|unk|mask|sop|eop|think|tool_call|tool_response|(?:start|end)_of_\w+"
    r"|\w+_token|unused_?\d+|reserved_?\d+|special_?\d+|extra_id_\d+|seed:\w+|<SYS>|</SYS>)>))"
    r"|\[(?=/?(?:INST|gMASK|sMASK|PAD|BOS|EOS|CLS|SEP|UNK|MASK|[A-Z]+(?:_[A-Z]+)+)\]|\||e~\[)"
    r"|\](?=~!?b[\]\[])"
)
"""The first character of what the tokenizers of open models take for a mark of their own."""
_UNSEEN = re.compile(
    "[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e0fff]"
)
"""Line ends that JSON leaves as they are, and what a reader does not see and a model may obey."""
_BLOCK = re.compile(
    r"^<<<begin (?P<kind>[a-z]+) (?P<number>[0-9a-f]{32})>>>\n(?P<json>.*?)\n"
    r"<<<end (?P=kind) (?P=number)>>>$",
    re.MULTILINE | re.DOTALL,
)


def encode(value: Any) -> str:
    """A value as JSON in which no mark of a template stands as such, and nothing unseen."""
    text = json.dumps(value, ensure_ascii=False)
    return _UNSEEN.sub(_escaped, _MARKS.sub(_escaped, text))


def quote(kind: str, data: Mapping[str, Any], *, seed: int) -> str:
    """A block, one line for each key of `data`. Equal data have equal blocks.

    Args:
        kind: a word of small letters that says what is quoted.
        data: JSON values by name.
        seed: another one gives another number.
    """
    lines = ",\n".join(f"{json.dumps(name)}: {encode(value)}" for name, value in data.items())
    number = hashlib.sha256(f"{seed}\n{kind}\n{lines}".encode()).hexdigest()[:32]
    return f"<<<begin {kind} {number}>>>\n{{{lines}}}\n<<<end {kind} {number}>>>"


def read_blocks(text: str) -> dict[str, Any]:
    """What the blocks in a text hold, by kind: for tests, and for whoever looks at a stored request."""
    return {found["kind"]: json.loads(found["json"]) for found in _BLOCK.finditer(text)}


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1] if ord(found[0]) > 0x7F else f"\\u{ord(found[0]):04x}"
