"""What a run folder says, read once and checked here, so that no page or table meets a surprise.

Every piece is optional: a run that has only trained has no comparison. What is absent is None; what is
there and unreadable is an `ArtifactError`, never a guess.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

from palate.errors import ArtifactError
from palate.evaluate.diagnosis.curves import Metrics, read_metrics
from palate.report.checked import Interval, Number, Piece, parse
from palate.report.comparison import AnswerFigures, Comparison, HeldOut, Message, ModelAnswer, Sample, WinRate

__all__ = [
    "AnswerFigures",
    "AuditFinding",
    "AuditSummary",
    "Comparison",
    "DataSplit",
    "DataSummary",
    "Findings",
    "HeldOut",
    "Interval",
    "Message",
    "ModelAnswer",
    "Run",
    "RunFinding",
    "RunSummary",
    "Sample",
    "WinRate",
    "parse",
    "read_run",
]


_MOST_DIGITS = 18


class SetAsideReason(Piece):
    reason: str
    count: int
    examples: tuple[str, ...] = ()


class DataSplit(Piece):
    source: str | None = None
    layout: str | None = None
    num_rows: int | None = None
    num_kept: int | None = None
    num_set_aside: int | None = None
    set_aside: tuple[SetAsideReason, ...] = ()
    num_prompts: int | None = None
    num_pairs: int | None = None
    num_too_long: int | None = None
    num_boundary_merges: int | None = None


class DataSummary(Piece):
    train: DataSplit | None = None
    eval: DataSplit | None = None


class EvalFigures(Piece):
    loss: Number = None
    reward_accuracy: Number = None
    reward_margin: Number = None


class RunSummary(Piece):
    status: str | None = None
    data: str = "pairs"
    needs_reference: bool = True
    stopped_early: bool = False
    num_pairs_train: int | None = None
    num_pairs_seen: int | None = None
    num_pairs_eval: int | None = None
    num_rows_set_aside: int | None = None
    num_steps: int | None = None
    num_reference_completions_computed: int | None = None
    num_reference_completions_cached: int | None = None
    sharing_factor: Number = None
    pairs_per_second: Number = None
    peak_memory_bytes: Number = None
    tree_check_max_abs_difference: Number = None
    layout: str | None = None
    best_step: int | None = None
    train_seconds: Number = None
    eval: EvalFigures | None = None
    preferred_share_before: Number = None
    preferred_share_after: Number = None


class AuditFinding(Piece):
    """One thing the audit before the run found."""

    check: str
    severity: str
    count: int
    meaning: str
    remedy: str = ""


class AuditSummary(Piece):
    """The audit before the run, as far as the report tells of it."""

    findings: tuple[AuditFinding, ...] = ()
    not_checked: Mapping[str, str] = {}
    allowed: tuple[str, ...] = ()


class RunFinding(Piece):
    """One rule's sight of the run. `recipe_key` is the option to change, `recipe_value` a value to try."""

    rule: str
    case: str = ""
    severity: str = "info"
    sure: str = "likely"
    step: int | None = None
    evidence: Mapping[str, Any] = {}
    sentence: str = ""
    meaning: str = ""
    remedy: str = ""
    recipe_key: str | None = None
    recipe_value: Any = None


class Findings(Piece):
    """What the run's curves say, as `palate diagnose` wrote it."""

    findings: tuple[RunFinding, ...] = ()
    rules_checked: tuple[str, ...] = ()
    rules_not_applicable: Mapping[str, str] = {}
    best_step: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder, read. `recipe` is the recipe's text as it stands in the folder."""

    name: str
    recipe: str | None
    environment: Mapping[str, Any] | None
    lineage: Mapping[str, Any] | None
    metrics: Metrics | None
    data: DataSummary | None
    summary: RunSummary | None
    comparison: Comparison | None
    audit: AuditSummary | None = None
    findings: Findings | None = None
    held_out: HeldOut | None = None
    """At the best step, from the margins that training left; a comparison has its own."""

    @property
    def is_training(self) -> bool:
        """Whether anything was to be trained here, and not only compared."""
        return any(piece is not None for piece in (self.recipe, self.metrics, self.summary, self.data))

    @property
    def best_step(self) -> int | None:
        """The step whose weights were kept; else the one that the diagnosis names."""
        kept = self.summary.best_step if self.summary is not None else None
        return kept if kept is not None or self.findings is None else self.findings.best_step

    @property
    def objective(self) -> str | None:
        """The recipe's `objective.type`."""
        found = yaml.safe_load(self.recipe) if self.recipe else None
        objective = found.get("objective") if isinstance(found, dict) else None
        return str(objective["type"]) if isinstance(objective, dict) and "type" in objective else None


def read_run(folder: Path) -> Run:
    """Reads every known piece of a run folder.

    Raises ArtifactError where the folder is no run folder, or a piece of it is damaged.
    """
    if not folder.is_dir():
        raise ArtifactError(
            "there is no such run folder",
            where=str(folder),
            next="give the folder that `output` names in the recipe",
        )
    run = Run(
        name=folder.resolve().name,
        recipe=_read_recipe(folder / "recipe.yaml"),
        environment=_read_object(folder / "environment.json"),
        lineage=_read_object(folder / "lineage.json"),
        metrics=read_metrics(folder / "metrics.jsonl"),
        data=_read_model(folder / "data.json", DataSummary),
        summary=_read_model(folder / "summary.json", RunSummary),
        comparison=_read_model(folder / "evaluation" / "comparison.json", Comparison),
        audit=_read_model(folder / "audit.json", AuditSummary),
        findings=_read_model(folder / "findings.json", Findings),
        held_out=_read_held_out(folder / "evaluation" / "held_out.json"),
    )
    if run.recipe is None and run.metrics is None and run.summary is None and run.comparison is None:
        raise ArtifactError(
            "this is not a run folder",
            where=str(folder),
            why="it holds no recipe.yaml, metrics.jsonl, summary.json or evaluation/comparison.json",
            next="give the folder that `output` names in the recipe, or train first: palate run RECIPE",
        )
    return run


def _read_held_out(path: Path) -> HeldOut | None:
    content = _read_object(path)
    if content is None:
        return None
    # Imported here: the interval brings scipy, which no other part of a report needs.
    from palate.evaluate.diagnosis.facts import Facts

    found = Facts(held_out=content).accuracy_at_best()
    if found is None:
        return None
    return HeldOut(num_pairs=found.num_pairs, reward_accuracy=found.value, interval_95=found.interval_95)


Model = TypeVar("Model", bound=BaseModel)


def _read_model(path: Path, model: type[Model]) -> Model | None:
    content = _read_object(path)
    return None if content is None else parse(model, content, str(path))


def _read_object(path: Path) -> Mapping[str, Any] | None:
    text = _read_text(path)
    if text is None:
        return None
    try:
        content = json.loads(text, parse_int=_whole_number)
    except json.JSONDecodeError as error:
        raise _damaged(path, f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise _damaged(path, "it is nested too deeply") from error
    if not isinstance(content, dict):
        raise _damaged(path, f"expected a JSON object, found {type(content).__name__}")
    return content


def _whole_number(digits: str) -> int | float:
    """No figure of a run is longer than this; Python refuses to read 5,000 digits, and no float holds 400."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _read_recipe(path: Path) -> str | None:
    text = _read_text(path)
    if text is not None:
        try:
            yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise _damaged(path, " ".join(str(error).split())) from error
        except RecursionError as error:
            raise _damaged(path, "it is nested too deeply") from error
    return text


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise _damaged(path, f"not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise ArtifactError("cannot be read", where=str(path), why=error.strerror or str(error)) from error


def _damaged(path: Path, why: str) -> ArtifactError:
    return ArtifactError(
        "the file is damaged",
        where=str(path),
        why=why,
        next="remove it to report without it, or make it again: palate run RECIPE does what is missing",
    )
