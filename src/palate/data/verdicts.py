"""Verdicts of judges: the layout in which they are written and read. One row each, the missing ones too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from palate.data.comparisons import (
    COMPARISON_COLUMNS,
    comparison_of_row,
    comparison_row,
    read_rows_as,
    write_message_rows,
)
from palate.data.messages import Unusable
from palate.data.rows import RawRow
from palate.data.structured import parse_json
from palate.records import JudgeCall, SetAside, Verdict

__all__ = ["VERDICT_COLUMNS", "read_verdicts", "write_verdicts"]

VERDICT_COLUMNS = (
    "id",
    *COMPARISON_COLUMNS,
    "generator_a",
    "generator_b",
    "judge",
    "preferred",
    "reason",
    "flipped",
    "calls",
    "detail",
    "provenance",
)
"""Those of a comparison, and: who wrote each completion, where that is known; who judged; `a`, `b`, `tie` or
nothing; why; whether each order was preferred once. `calls`, `detail` and `provenance` are JSON as text."""

_NEEDED = (*COMPARISON_COLUMNS, "judge", "preferred")
_PREFERENCES = ("a", "b", "tie", None)

_Side = Literal["a", "b"]
_Preferred = Literal["a", "b", "tie"] | None


def write_verdicts(verdicts: Iterable[Verdict], path: str | Path) -> None:
    """One verdict a row, into `.jsonl` or `.parquet`; an older file is replaced in one step.

    Raises:
        DataError: the name says no such format. ArtifactError: it cannot be written.
    """
    write_message_rows([_row(verdict) for verdict in verdicts], VERDICT_COLUMNS, path)


def _row(verdict: Verdict) -> dict[str, Any]:
    row = comparison_row(verdict.comparison)
    generator_a, generator_b = verdict.comparison.generators
    said = {
        "generator_a": generator_a,
        "generator_b": generator_b,
        "judge": verdict.judge,
        "preferred": verdict.preferred,
        "reason": _writable(verdict.reason),
        "flipped": verdict.flipped,
        "calls": _json([_call_row(call) for call in verdict.calls]),
        "detail": _json(dict(verdict.detail)),
    }
    return {name: {**row, **said}[name] for name in VERDICT_COLUMNS}


def _call_row(call: JudgeCall) -> dict[str, Any]:
    return {
        "shown_first": call.shown_first,
        "preferred": call.preferred,
        "problem": call.problem,
        "text": call.text,
        "detail": dict(call.detail),
    }


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # A model may say half a character, which no file holds: written as an escape it can be read again.
    return text if _is_writable(text) else json.dumps(value)


def _writable(text: str) -> str:
    return text if _is_writable(text) else text.encode("utf-8", "backslashreplace").decode()


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_verdicts(path: str | Path) -> tuple[tuple[Verdict, ...], tuple[SetAside, ...]]:
    """The verdicts of a file in their order, and the rows that are none.

    Raises:
        DataError: the file cannot be read, or no row has the columns of a verdict.
    """
    return read_rows_as(str(path), _verdict, "verdicts", _NEEDED, "palate judge")


def _verdict(row: RawRow, path: str) -> Verdict:
    comparison = comparison_of_row(row, path)
    fields = row.fields
    judge, reason = fields.get("judge"), fields.get("reason")
    if not isinstance(judge, str) or not judge:
        raise Unusable('"judge" is no name')
    if not isinstance(reason, str | None):
        raise Unusable('"reason" is no text')
    flipped = fields.get("flipped")
    if not isinstance(flipped, bool | None):
        raise Unusable('"flipped" is neither true nor false')
    calls = _parsed(fields, "calls", list, "a list")
    return Verdict(
        comparison,
        judge,
        _preferred(fields),
        reason or "",
        bool(flipped),
        tuple(_call(call) for call in calls),
        _parsed(fields, "detail", dict, "an object"),
    )


def _parsed(fields: Mapping[str, Any], column: str, kind: type, name: str) -> Any:
    """What stands in a cell as JSON; an empty one of its kind where there is nothing."""
    value = fields.get(column)
    if value is None:
        return kind()
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError:
            raise Unusable(f'"{column}" is no JSON') from None
    if not isinstance(value, kind):
        raise Unusable(f'"{column}" is not {name}')
    return value


def _preferred(fields: Mapping[str, Any]) -> _Preferred:
    value = fields.get("preferred")
    if value not in _PREFERENCES:
        raise Unusable('"preferred" is none of a, b, tie and nothing')
    return cast(_Preferred, value)


def _call(value: object) -> JudgeCall:
    if not isinstance(value, Mapping) or value.get("shown_first") not in ("a", "b"):
        raise Unusable('"calls" holds what is no call')
    problem, text, detail = value.get("problem", ""), value.get("text", ""), value.get("detail", {})
    if not isinstance(problem, str) or not isinstance(text, str) or not isinstance(detail, Mapping):
        raise Unusable('"calls" holds what is no call')
    return JudgeCall(cast(_Side, value["shown_first"]), _preferred(value), problem, text, dict(detail))
