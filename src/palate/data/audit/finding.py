"""What an audit says about data: findings, each with its count, examples, meaning and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

__all__ = ["CHECKS", "MAX_EXAMPLES", "Audit", "CheckName", "Finding", "Severity", "SourceAccount"]

Severity = Literal["error", "warning", "info"]
"""An `error` blocks training, a `warning` informs and may cost quality, an `info` is a figure to know."""

CheckName = Literal[
    "identical_pair",
    "empty_side",
    "contradictory_pair",
    "circular_triad",
    "duplicate_exact",
    "duplicate_near",
    "leak_prompt",
    "leak_completion",
    "counting_baseline",
    "length_bias",
    "boundary",
    "eos",
    "template_token",
    "truncation",
    "language_mix",
    "unseen_context",
    "one_sided_phrase",
    "not_verbatim",
    "set_aside",
]
CHECKS: tuple[CheckName, ...] = get_args(CheckName)

MAX_EXAMPLES = 5
"""Examples a finding carries; its count says how many there are."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the data have, and what to do about it."""

    check: CheckName
    severity: Severity
    count: int
    """How many rows (or, where `figures` says so, groups of rows) have it."""
    examples: tuple[Mapping[str, Any], ...]
    """At most MAX_EXAMPLES, each with `place` (`file:line`) and short quotations that a terminal can show."""
    meaning: str
    """Why it matters, in a sentence or two, with the figures."""
    remedy: str
    """What to do, with the command or recipe key."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The numbers behind it, by names a script can rely on."""
    num_kept: int = 0
    """Of `count`, how many rows would be trained (or evaluated) on: the others are set aside anyway."""

    @property
    def blocks_training(self) -> bool:
        """Errors in rows that a run would use. A row set aside harms nobody."""
        return self.severity == "error" and self.num_kept > 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "check": self.check,
            "severity": self.severity,
            "count": self.count,
            "examples": [dict(example) for example in self.examples],
            "meaning": self.meaning,
            "remedy": self.remedy,
            "figures": dict(self.figures),
            "num_kept": self.num_kept,
        }


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """What became of a source's rows: rows in = kept + set aside."""

    source: str
    layout: str
    kind: str
    num_rows: int
    num_kept: int
    num_set_aside: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything an audit found. Rows in = kept + set aside."""

    sources: tuple[str, ...]
    """The audited source, and the one it was held against."""
    num_rows: int
    """Of the audited source alone, like the two below."""
    num_kept: int
    num_set_aside: int
    findings: tuple[Finding, ...]
    """Errors first, warnings, infos; within each as CHECKS orders them. One of each name at most."""
    not_checked: Mapping[str, str] = field(default_factory=dict)
    """Checks that could not be made, and what they need."""
    layout: str = ""
    kind: str = ""
    """`pairs`, `labels` or `rankings`."""
    against: SourceAccount | None = None
    """The account of the source it was held against."""

    @property
    def has_errors(self) -> bool:
        """Whether any finding is an error."""
        return any(finding.severity == "error" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "sources": list(self.sources),
            "layout": self.layout,
            "kind": self.kind,
            "num_rows": self.num_rows,
            "num_kept": self.num_kept,
            "num_set_aside": self.num_set_aside,
            "against": self.against.as_dict() if self.against else None,
            "findings": [finding.as_dict() for finding in self.findings],
            "not_checked": dict(self.not_checked),
        }
