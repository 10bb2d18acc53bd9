"""Every error Palate raises on purpose, as one tree.

    PalateError
    ├── CallError               the call was wrong (exit code 2)
    │   ├── RecipeError         a recipe, or an override of one
    │   ├── DataError           a data source or its layout
    │   ├── ModelError          a base model, tokenizer or chat template
    │   └── JudgeError          a judge that cannot be loaded or called
    └── WorkError               the call was right, the work fell short (exit code 1)
        ├── TrainingError       training stopped: non-finite numbers, nothing left to train on
        └── ArtifactError       a run folder, checkpoint or cache is damaged or incomplete

A message says what went wrong, where, why, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ArtifactError",
    "CallError",
    "DataError",
    "JudgeError",
    "ModelError",
    "PalateError",
    "RecipeError",
    "TrainingError",
    "WorkError",
    "did_you_mean",
]


class PalateError(Exception):
    """A failure a person can act on. `exit_code` is what the command line returns for it."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", why: str = "", next: str = "") -> None:
        self.what = what
        self.where = where
        self.why = why
        self.next = next
        super().__init__(what)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        lines = [head]
        if self.why:
            lines.append(f"  why:  {self.why}")
        if self.next:
            lines.append(f"  next: {self.next}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only fields would be lost when the error crosses a process boundary.
        return _rebuild, (type(self), self.what, self.where, self.why, self.next)


def _rebuild(kind: type[PalateError], what: str, where: str, why: str, next: str) -> PalateError:
    return kind(what, where=where, why=why, next=next)


class CallError(PalateError):
    """What was asked for makes no sense as asked."""

    exit_code = 2


class RecipeError(CallError):
    """A recipe or an override that cannot be used."""


class DataError(CallError):
    """A data source that cannot be read, or whose layout cannot be told."""


class ModelError(CallError):
    """A base model, tokenizer or chat template that cannot be used."""


class JudgeError(CallError):
    """A judge that cannot be found or called."""


class WorkError(PalateError):
    """The call was right and the work still fell short."""


class TrainingError(WorkError):
    """Training stopped before it did harm."""


class ArtifactError(WorkError):
    """Something Palate wrote earlier is damaged, incomplete or absent."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean "dpo"?` when a known name is close, else an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""
