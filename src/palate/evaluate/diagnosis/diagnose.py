"""All rules over one run, and what is left in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from palate import durable
from palate.errors import ArtifactError
from palate.evaluate.diagnosis.curves import Metrics, read_metrics, series
from palate.evaluate.diagnosis.facts import Facts, figure, read_facts
from palate.evaluate.diagnosis.finding import Finding, NotApplicable, Seen
from palate.evaluate.diagnosis.rules import RULES
from palate.evaluate.diagnosis.trends import values_of

__all__ = ["FINDINGS_FILE", "Diagnosis", "diagnose", "diagnose_run", "write_diagnosis"]

FINDINGS_FILE = "findings.json"

_GRAVEST_FIRST = ("error", "warning", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What a run's curves say. The gravest finding stands first; not_applicable says why, by rule."""

    findings: tuple[Finding, ...] = ()
    rules_checked: tuple[str, ...] = ()
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    best_step: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """As findings.json holds it."""
        return {
            "findings": [finding.as_dict() for finding in self.findings],
            "rules_checked": list(self.rules_checked),
            "rules_not_applicable": dict(self.not_applicable),
            "best_step": self.best_step,
        }


def diagnose(metrics: Metrics, facts: Facts, *, live: bool = False) -> Diagnosis:
    """Every rule over these curves; with `live` those only that can be told before the run is over."""
    seen_by: dict[str, Sequence[Seen]] = {}
    not_applicable: dict[str, str] = {}
    for name, rule in RULES.items():
        if live and not rule.live:
            not_applicable[name] = "told when the run is over"
            continue
        with np.errstate(all="ignore"):  # a run that blew up has figures whose squares are too large
            seen = rule.check(metrics, facts)
        if isinstance(seen, NotApplicable):
            not_applicable[name] = seen.why
            continue
        seen_by[name] = seen
    for name in list(seen_by):
        causes = [cause for cause in RULES[name].explained_by if seen_by.get(cause)]
        if seen_by[name] and causes:
            not_applicable[name] = f"what it would look at comes of {causes[0]}"
            del seen_by[name]
    findings = [Finding.of(RULES[name], each) for name, seen in seen_by.items() for each in seen]
    findings.sort(key=lambda finding: _GRAVEST_FIRST.index(finding.severity))
    return Diagnosis(
        findings=tuple(findings),
        rules_checked=tuple(seen_by),
        not_applicable=not_applicable,
        best_step=_best_step(metrics, facts),
    )


def diagnose_run(folder: Path) -> Diagnosis:
    """Every rule over a run folder, as far as the run has come.

    Raises:
        ArtifactError: there is no such run, or a file of it is damaged. RecipeError: its recipe is none.
    """
    metrics = read_metrics(folder / "metrics.jsonl")
    facts = read_facts(folder)
    if metrics is None:
        raise ArtifactError(
            "this run has no curves yet" if facts.recipe is not None else "this is not a run folder",
            where=str(folder),
            why="it holds no metrics.jsonl",
            next="name a folder in which palate train has begun",
        )
    return diagnose(metrics, facts, live=not facts.finished)


def write_diagnosis(folder: Path) -> Diagnosis:
    """Diagnose a run and leave RUN/findings.json; errors as `diagnose_run`."""
    found = diagnose_run(folder)
    durable.write_json(folder / FINDINGS_FILE, found.as_dict())
    return found


def _best_step(metrics: Metrics, facts: Facts) -> int | None:
    """The step whose weights the run keeps; before it is over, that of the best evaluation so far."""
    kept = figure(facts.summary, "best_step")
    if kept is not None:
        return int(kept)
    name = facts.recipe.train.best_metric if facts.recipe is not None else "loss"
    steps, values = values_of(series(metrics.eval, name))
    if not len(steps):
        return None
    return int(steps[np.argmin(values) if name == "loss" else np.argmax(values)])
