"""What docs/diagnose.md says each rule gives as evidence."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[3] / "docs" / "diagnose.md").read_text(encoding="utf-8")


def evidence_by_case() -> dict[tuple[str, str], tuple[str, ...]]:
    """By rule and case the names of its evidence."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (?:`([a-z_]+)`)? ?\| ([a-z0-9_, `]+) \|$", PAGE, re.MULTILINE)
    return {(rule, case): tuple(re.findall(r"`([a-z0-9_]+)`", names)) for rule, case, names in rows}
