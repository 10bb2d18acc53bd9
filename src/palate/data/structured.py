"""Structured values from text: JSON, and Python literals, without believing any of it."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from palate.data.excerpts import excerpt

__all__ = ["DECODER", "MAX_CELL_CHARACTERS", "RepeatedKey", "describe", "parse_cell", "parse_json"]

MAX_CELL_CHARACTERS = 1_000_000
"""Longer cells are not parsed as Python: the parser needs some hundred bytes for each character."""


@dataclass(frozen=True, slots=True)
class RepeatedKey:
    """Stands where an object said one key twice: neither of the two values is more right than the other."""

    key: str


def parse_json(text: str) -> Any:
    """JSON, with `RepeatedKey` in place of every object that has a key twice.

    Raises:
        ValueError: it is not JSON, holds a number too long to convert, or is nested too deeply.
    """
    try:
        return DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _object(items: list[tuple[str, Any]]) -> Any:
    unique: dict[str, Any] = {}
    for key, value in items:
        if key in unique:
            return RepeatedKey(key)
        unique[key] = value
    return unique


DECODER = json.JSONDecoder(object_pairs_hook=_object)
"""JSON as `parse_json` reads it, for values that stand within a longer text."""


def parse_cell(text: str) -> Any:
    """A JSON or Python literal written inside a text cell.

    Raises:
        ValueError: it is neither, too long to look at, or has a key twice (in JSON: see `parse_json`).
    """
    if len(text) > MAX_CELL_CHARACTERS:
        raise ValueError(f"it is longer than {MAX_CELL_CHARACTERS:,} characters")
    # JSON first: most JSON is also Python, which reads "\/" and surrogate pairs differently.
    try:
        return parse_json(text)
    except ValueError:
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stray backslash in data is nobody's programming slip
            tree = ast.parse(text.strip(), mode="eval").body
            repeated, value = _repeated_key(tree), ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        # MemoryError and RecursionError are how the parser says "nested too deeply".
        raise ValueError("it is neither JSON nor a Python literal") from None
    if repeated is not None:
        raise ValueError(f'it has an object with the key "{excerpt(repeated, 40)}" twice')
    return value


def _repeated_key(tree: ast.expr) -> str | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            if len(set(keys)) < len(keys):
                return str(next(key for key in keys if keys.count(key) > 1))
    return None


def describe(value: object) -> str:
    """A value's kind, in the words of people who make data sets and not of Python."""
    match value:
        case None:
            return "null"
        case RepeatedKey(key):
            return f'an object with the key "{excerpt(key, 40)}" twice'
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
        case _:
            return f"of type {type(value).__name__}"
