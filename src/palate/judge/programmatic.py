"""A function as a judge: it scores each completion, and the higher score is preferred."""

from __future__ import annotations

from collections.abc import Sequence

from palate.judge.scoring import judge_by_score, load_scorer
from palate.records import Comparison, Verdict
from palate.watcher import Watcher

__all__ = ["ScorerJudge"]


class ScorerJudge:
    """A built-in scorer, or `module:function`, that judges comparisons. It sees no order, and asks nobody."""

    def __init__(self, spec: str, *, name: str | None = None) -> None:
        """
        Raises:
            JudgeError: there is no such scorer.
        """
        self._scorer, self._spec = load_scorer(spec), spec
        self._name = name or spec

    @property
    def name(self) -> str:
        """The scorer's."""
        return self._name

    @property
    def models(self) -> tuple[str, ...]:
        """None: nobody is asked."""
        return ()

    def judge(self, comparisons: Sequence[Comparison], watcher: Watcher | None = None) -> list[Verdict]:
        """One verdict for each comparison, in their order; a score that fails leaves it missing."""
        watcher = watcher or Watcher()
        watcher.begin(f"scoring with {self._name}", len(comparisons))
        verdicts = []
        for number, comparison in enumerate(comparisons, 1):
            verdicts.append(judge_by_score(self._scorer, self._name, comparison))
            watcher.advance(number)
        watcher.end()
        return verdicts
