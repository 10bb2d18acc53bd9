"""`metrics.jsonl`: the truth that every curve is drawn from, and every rule looks at."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palate.errors import ArtifactError

__all__ = ["Metrics", "MetricsRow", "Series", "read_metrics", "series"]


@dataclass(frozen=True, slots=True)
class MetricsRow:
    """One line: a training step, or one evaluation. A value written as null or not finite is NaN here."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Metrics:
    """`last_line_cut` says that the file ends inside a line, as after a crash or while training writes it."""

    train: tuple[MetricsRow, ...] = ()
    eval: tuple[MetricsRow, ...] = ()
    last_line_cut: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """One figure over the steps at which it was written; NaN marks a gap."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def gaps(self) -> tuple[int, ...]:
        """The steps at which the figure was written but is no finite number."""
        return tuple(step for step, value in zip(self.steps, self.values, strict=True) if math.isnan(value))

    def __bool__(self) -> bool:
        """Whether there is anything to draw."""
        return any(not math.isnan(value) for value in self.values)


def series(rows: Sequence[MetricsRow], key: str) -> Series:
    """The figure `key` over `rows`. Rows that do not speak of it are no gaps."""
    found = [(row.step, row.values[key]) for row in rows if key in row.values]
    return Series(tuple(step for step, _ in found), tuple(value for _, value in found))


def read_metrics(path: Path) -> Metrics | None:
    """Reads `metrics.jsonl`; None where there is none.

    A resumed run repeats the steps after its checkpoint: of lines with one split and step the last counts.
    Raises ArtifactError where a line other than an unfinished last one cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtifactError("cannot be read", where=str(path), why=error.strerror or str(error)) from error
    rows: dict[str, dict[int, MetricsRow]] = {"train": {}, "eval": {}}
    lines = text.split("\n")
    last_line_cut = False
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            split, row = _parse_line(line)
        except (ValueError, TypeError) as error:
            if number == len(lines):
                last_line_cut = True
                continue
            raise ArtifactError(
                "the line is damaged",
                where=f"{path}:{number}",
                why=str(error),
                next="remove the line to go on without that step",
            ) from error
        rows[split][row.step] = row
    train, evaluation = (
        tuple(rows[split][step] for step in sorted(rows[split])) for split in ("train", "eval")
    )
    return Metrics(train, evaluation, last_line_cut)


def _parse_line(line: str) -> tuple[str, MetricsRow]:
    try:
        content = json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise TypeError(f"expected a JSON object, found {type(content).__name__}")
    split, step = content.get("split"), content.get("step")
    if split not in ("train", "eval"):
        raise ValueError(f'split = {split!r}: expected "train" or "eval"')
    if not isinstance(step, int) or isinstance(step, bool) or abs(step) >= 2**63:
        raise ValueError(f"step = {step!r}: expected a whole number")
    values = {key: _number(key, value) for key, value in content.items() if key not in ("split", "step")}
    return split, MetricsRow(step, {key: value for key, value in values.items() if value is not None})


def _number(key: str, value: Any) -> float | None:
    """A figure as a float, NaN for null and infinities; None for text, which no curve can use."""
    if value is None:
        return math.nan
    if isinstance(value, bool | str):
        return None
    if isinstance(value, int | float):
        try:
            return float(value) if math.isfinite(value) else math.nan
        except OverflowError:  # a whole number beyond what a float can hold
            return math.nan
    raise ValueError(f"{key} = {value!r}: expected a number")
