"""Values of a row as numbers and as verdicts on one completion, or the reason why they are none."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from palate.data.messages import Unusable, value_of
from palate.data.structured import describe

__all__ = ["finite", "label_field", "margin_field", "number_of", "stated_gap", "weight_field"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

_DESIRABLE = {
    "true": True, "yes": True, "1": True, "1.0": True, "desirable": True, "chosen": True, "good": True,
    "false": False, "no": False, "0": False, "0.0": False, "undesirable": False, "rejected": False,
    "bad": False,
}  # fmt: skip
"""What a label may say. Other words are not guessed at: a label read the wrong way round teaches the
opposite."""


def number_of(value: object, column: str) -> float:
    """A finite number, or text that is one: CSV has nothing else."""
    if isinstance(value, str):
        if not value.strip():
            raise Unusable(f'"{column}" is empty')
        if not _NUMBER.fullmatch(value.strip()):
            raise Unusable(f'"{column}" is text that is no number')
    elif isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Unusable(f'"{column}" is {describe(value)}, a number was expected')
    try:
        number = float(value)
    except OverflowError:  # a whole number too large for a float
        number = math.inf
    if not math.isfinite(number):
        raise Unusable(f'"{column}" is not finite')
    return number


def finite(value: object) -> float | None:
    """A number that is one, or text that is one; None for anything else, such as "N/A"."""
    try:
        return number_of(value, "")
    except Unusable:
        return None


_GAP_COLUMNS = (
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("chosen-rating", "rejected-rating"),
    ("rating_chosen", "rating_rejected"),
)
"""Under which names files keep what each side scored."""


def stated_gap(fields: Mapping[str, Any]) -> float | None:
    """By how much chosen scored higher, where the row says what both sides scored; else None."""
    for chosen, rejected in _GAP_COLUMNS:
        if chosen in fields and rejected in fields:
            high, low = finite(fields[chosen]), finite(fields[rejected])
            if high is not None and low is not None:
                return high - low
    return None


def margin_field(fields: Mapping[str, Any], column: str) -> float:
    """By how much chosen is better: 0 or more."""
    margin = number_of(value_of(fields, column), column)
    if margin < 0:
        raise Unusable(f'"{column}" is negative: this margin says that rejected is the better one')
    return margin


def weight_field(fields: Mapping[str, Any], column: str) -> float:
    """How much a row counts: above 0."""
    weight = number_of(value_of(fields, column), column)
    if weight == 0:
        raise Unusable(f'"{column}" is 0: a row of weight 0 teaches nothing')
    if weight < 0:
        raise Unusable(f'"{column}" is negative: a weight is above 0')
    return weight


def label_field(fields: Mapping[str, Any], column: str) -> bool:
    """Whether the completion is desirable: a truth value, 0 or 1, or one of a few words in any case."""
    value = value_of(fields, column)
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and not value.strip():
        raise Unusable(f'"{column}" is empty')
    if isinstance(value, str) and value.strip().casefold() in _DESIRABLE:
        return _DESIRABLE[value.strip().casefold()]
    said = "other text" if isinstance(value, str) else describe(value)
    if isinstance(value, int | float):
        said = "another number"
    raise Unusable(f'"{column}" is {said}; known: {", ".join(_DESIRABLE)}')
