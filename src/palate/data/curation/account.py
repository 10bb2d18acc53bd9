"""What curation did: for each step how many rows came in and how many went, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from palate.data.kinds import Kind

__all__ = ["Account", "StepAccount"]


@dataclass(frozen=True, slots=True)
class StepAccount:
    """One step. Rows in = rows removed + rows left."""

    step: str
    num_in: int
    num_removed: int
    places: tuple[str, ...] = ()
    """The first few rows that went, as `file:line`."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """For `balance`: the figures before and after."""

    @property
    def num_left(self) -> int:
        """How many rows go on to the next step."""
        return self.num_in - self.num_removed


@dataclass(frozen=True, slots=True)
class Account:
    """Everything curation did, in the order in which it was done."""

    source: str
    kind: Kind
    layout: str
    num_rows: int
    num_kept: int
    steps: tuple[StepAccount, ...]

    def __post_init__(self) -> None:
        left = self.num_rows
        for step in self.steps:
            if step.num_in != left:
                raise ValueError(f"{self.source}: {left} rows before {step.step}, {step.num_in} in it")
            left = step.num_left
        if left != self.num_kept:
            raise ValueError(f"{self.source}: {left} rows left, {self.num_kept} kept: rows were lost")

    @property
    def num_set_aside(self) -> int:
        """Rows that could not be read, or that a step removed."""
        return self.num_rows - self.num_kept

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "source": self.source,
            "kind": self.kind,
            "layout": self.layout,
            "num_rows": self.num_rows,
            "num_kept": self.num_kept,
            "num_set_aside": self.num_set_aside,
            "steps": [
                {
                    "step": step.step,
                    "num_in": step.num_in,
                    "num_removed": step.num_removed,
                    "num_left": step.num_left,
                    "places": list(step.places),
                    **({"figures": dict(step.figures)} if step.figures else {}),
                }
                for step in self.steps
            ],
        }
