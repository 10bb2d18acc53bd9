"""A run explains itself: a word while it trains, findings.json when it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from palate.data.excerpts import excerpt
from palate.errors import PalateError, TrainingError
from palate.evaluate.diagnosis import Diagnosis, Finding, LiveDiagnosis, write_diagnosis
from palate.watcher import Watcher

__all__ = ["diagnose_stage", "diagnosed_if_it_fails", "telling_diagnosis"]

Line = dict[str, Any]


def diagnose_stage(folder: Path) -> Diagnosis:
    """Write RUN/findings.json.

    Raises:
        ArtifactError: there is no such run, a file of it is damaged, or the folder cannot be written.
    """
    return write_diagnosis(folder)


@contextmanager
def diagnosed_if_it_fails(folder: Path) -> Iterator[None]:
    """Where training ends in a TrainingError its curves are left explained, as far as they came."""
    try:
        yield
    except TrainingError:
        with suppress(PalateError):  # what ended the training is what its owner has to hear
            diagnose_stage(folder)
        raise


def telling_diagnosis(folder: Path, watcher: Watcher) -> Callable[[Line], None]:
    """What is given every line of metrics.jsonl, and notes each finding as it arises."""
    live = LiveDiagnosis(folder, lambda finding: watcher.note(_in_a_line(finding)))
    broken = False

    def on_line(line: Mapping[str, Any]) -> None:
        nonlocal broken
        if broken:
            return
        try:
            live.on_line(line)
        except Exception as error:  # advice may fail; hours of training may not end of it
            broken = True
            watcher.note(f"diagnosis: no more of it in this run: {excerpt(str(error), 200)}")

    return on_line


def _in_a_line(finding: Finding) -> str:
    return f"diagnosis: {finding.severity} {finding.rule}: {finding.sentence} {finding.remedy}"
