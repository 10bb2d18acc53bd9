"""All rules over a run while it trains, without looking too often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from palate.evaluate.diagnosis.curves import read_metrics
from palate.evaluate.diagnosis.diagnose import diagnose
from palate.evaluate.diagnosis.facts import read_facts
from palate.evaluate.diagnosis.finding import Finding

__all__ = ["LiveDiagnosis"]

_FIRST_LOOK, _MORE_STEPS = 10, 1.1
"""A look costs reading all lines so far; so the next is due after a tenth more of them."""


class LiveDiagnosis:
    """Told of every line of metrics.jsonl, it says what is new, once for each rule."""

    def __init__(self, folder: Path, tell: Callable[[Finding], None]) -> None:
        self._folder, self._tell = folder, tell
        self._told: set[str] = set()
        self._due = _FIRST_LOOK

    def on_line(self, line: Mapping[str, Any]) -> None:
        """A line has been written.

        Raises:
            ArtifactError: a file of the run is damaged.
        """
        step = int(line["step"])
        if step < self._due:
            return
        self._due = int(max(step + 1, step * _MORE_STEPS))
        metrics = read_metrics(self._folder / "metrics.jsonl")
        if metrics is None:
            return
        for finding in diagnose(metrics, read_facts(self._folder), live=True).findings:
            if finding.rule not in self._told:
                self._told.add(finding.rule)
                self._tell(finding)
