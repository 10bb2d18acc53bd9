"""What every judge is, whatever it asks: comparisons in, one verdict each out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from palate.records import Comparison, Verdict
from palate.watcher import Watcher

__all__ = ["Judge"]


class Judge(Protocol):
    """A language model with a rubric, a jury of them, a reward model, a function.

    Judging the same comparisons again gives the same verdicts: what was asked before is in the store.
    """

    @property
    def name(self) -> str:
        """How verdicts and the card call it."""
        ...

    @property
    def models(self) -> tuple[str, ...]:
        """The models it asks, by which its own family is known among the generators; none for a function."""
        ...

    def judge(self, comparisons: Sequence[Comparison], watcher: Watcher | None = None) -> list[Verdict]:
        """One verdict for each comparison, in their order. What fails is a missing verdict with its reason.

        Raises:
            PalateError: nothing can be judged at all.
        """
        ...
