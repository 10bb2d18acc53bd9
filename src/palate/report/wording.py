"""Figures as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "bytes_",
    "duration",
    "flat",
    "number",
    "percent",
    "plural",
    "shortened",
    "signed",
    "visible",
    "whole",
]

ABSENT = "–"


def whole(value: float | None) -> str:
    """`12,345`."""
    return ABSENT if value is None else f"{value:,.0f}"


def number(value: float | None, digits: int = 3) -> str:
    """A figure to `digits` significant digits, without needless zeros; the sign is a true minus."""
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-3:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
    else:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{decimals}f}"
    return text.replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """As `number`, with a plus before what is positive."""
    return f"+{number(value, digits)}" if value is not None and value > 0 else number(value, digits)


def percent(share: float | None) -> str:
    """A share as whole percents; `<1%` and `>99%` for what is neither none nor all, but would read so."""
    if share is None:
        return ABSENT
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 < share < 1:
        return ">99%"
    return f"{share * 100:.0f}%"


def bytes_(size: float | None) -> str:
    """`1.9 GB`, in powers of ten as disks and graphics cards are sold."""
    if size is None:
        return ABSENT
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{number(size)} {unit}" if unit != "B" else f"{size:.0f} B"
        size /= 1000
    return f"{number(size)} TB"


def duration(seconds: float | None) -> str:
    """`48 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return ABSENT
    if seconds < 10:
        return f"{number(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def shortened(name: str, most: int = 60) -> str:
    """A name for a headline; of a long one its beginning and its end, by which versions differ."""
    if len(name) <= most:
        return name
    end = most // 3
    return f"{name[: most - end - 1]}…{name[-end:]}"


EXAMPLE_NOUNS = {"pairs": "pair", "labels": "labelled answer", "rankings": "ranking"}
"""What one example is called, by the kind of data a run learnt from."""


def plural(count: int, one: str, many: str = "") -> str:
    """`1 prompt`, `1,200 prompts`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested content as dotted keys and text, in the order it stands in."""
    rows: list[tuple[str, str]] = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += flat(value, f"{name}.") or [(name, ABSENT)]
        elif isinstance(value, list):
            rows.append((name, ", ".join(str(item) for item in value) or ABSENT))
        else:
            rows.append(
                (
                    name,
                    ABSENT
                    if value is None
                    else str(value).lower()
                    if isinstance(value, bool)
                    else str(value),
                )
            )
    return rows


# Control characters but for tab and newline, the marks that turn writing direction, and halves of characters.
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Text of a model or a data set, with what could steer a terminal or mislead a reader shown as signs."""
    return _INVISIBLE.sub(_sign, text.replace("\r\n", "\n"))


def _sign(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"
