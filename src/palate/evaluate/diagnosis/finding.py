"""What a rule is, what it sees, and what a finding says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from palate.evaluate.diagnosis.curves import Metrics
from palate.evaluate.diagnosis.facts import Facts

__all__ = ["Check", "Evidence", "Finding", "NotApplicable", "Rule", "Seen", "Severity", "Sureness", "say"]

Severity = Literal["error", "warning", "info"]
"""error: the run's result cannot be trusted. warning: it is worse than it could be. info: worth knowing."""
Sureness = Literal["certain", "likely", "hint"]
"""certain: read off the files. likely: a test says so. hint: other causes would look alike."""
Evidence = Mapping[str, float | int | str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one rule saw in one run; every figure of it stands in the evidence.

    case: which of the rule's sentences says it. step: where it shows, None for the whole run. recipe_key,
    recipe_value: the option to change and a value to try; the rule's own key where absent.
    """

    severity: Severity
    sure: Sureness
    case: str = ""
    step: int | None = None
    evidence: Evidence = field(default_factory=dict)
    recipe_key: str | None = None
    recipe_value: Any = None


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """A rule cannot be checked on this run, and why."""

    why: str


Check = Callable[[Metrics, Facts], Sequence[Seen] | NotApplicable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that goes wrong in runs.

    sentences: what it says, by case, with the names of evidence in braces as `str.format` takes them; ""
    is the case of a rule with one sentence. meaning: what it means where it is seen. remedy: what to do
    next. live: whether it can be told before the run is over. explained_by: rules of faults that look like
    this one too; where they speak it keeps silent. reason: where its thresholds come from.
    """

    name: str
    sentences: Mapping[str, str]
    meaning: str
    remedy: str
    reason: str
    check: Check
    live: bool = True
    explained_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule's sight of one run, ready to be told. Rule and case say which sentence it is."""

    rule: str
    case: str
    severity: Severity
    sure: Sureness
    step: int | None
    evidence: Evidence
    sentence: str
    meaning: str
    remedy: str
    recipe_key: str | None = None
    recipe_value: Any = None

    @classmethod
    def of(cls, rule: Rule, seen: Seen) -> Finding:
        """What `rule` has to say about what it saw."""
        evidence = {name: _plain(value) for name, value in seen.evidence.items()}
        return cls(
            rule=rule.name,
            case=seen.case,
            severity=seen.severity,
            sure=seen.sure,
            step=seen.step,
            evidence=evidence,
            sentence=say(rule.sentences[seen.case], evidence),
            meaning=rule.meaning,
            remedy=rule.remedy,
            recipe_key=seen.recipe_key,
            recipe_value=seen.recipe_value,
        )

    def as_dict(self) -> dict[str, Any]:
        """As it stands in findings.json."""
        return {
            "rule": self.rule,
            "case": self.case,
            "severity": self.severity,
            "sure": self.sure,
            "step": self.step,
            "evidence": dict(self.evidence),
            "sentence": self.sentence,
            "meaning": self.meaning,
            "remedy": self.remedy,
            "recipe_key": self.recipe_key,
            "recipe_value": self.recipe_value,
        }


class _Unknown:
    """A figure that is none, in whatever way it was to be written."""

    def __format__(self, how: str) -> str:
        return "?"


def say(sentence: str, evidence: Evidence) -> str:
    """A rule's sentence, in whatever language, with its figures in their places; "?" for one that is None."""
    known = {name: _Unknown() if value is None else value for name, value in evidence.items()}
    return sentence.format_map(known)


def _plain(value: float | int | str | None) -> float | int | str | None:
    """JSON has neither numpy's numbers nor infinities."""
    if value is None or isinstance(value, str):
        return value
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) else float(f"{value:.6g}")
