"""What others said, quoted in a reason: short, on one line, and without what must not be repeated."""

from __future__ import annotations

__all__ = ["quoted"]


def quoted(text: str, limit: int = 300) -> str:
    """At most `limit` characters of a text on one line, without control characters and lone surrogates."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
