"""A reward model as a judge: it scores each completion by itself, and the higher score is preferred."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from palate.engine import Branch, branch_scores, prove_scores
from palate.engine.logps import Layout
from palate.evaluate.judges.local import LocalJudge
from palate.evaluate.reading import branches_of, in_batches
from palate.judge import Score, preferred_of
from palate.recipe import ModelOptions
from palate.records import Comparison, Messages, Verdict
from palate.watcher import Watcher

__all__ = ["RewardModelJudge"]

_Scored = tuple[Messages, Messages]


class RewardModelJudge(LocalJudge):
    """A reward model that Palate trained, or any sequence classifier with one label, as a judge.

    It sees one completion at a time and knows no order. Each distinct completion of a prompt is scored once
    by one object, whatever it is asked; the scores stand in the verdicts' detail. The first batch is computed
    by the model's own forward pass too, and the faster way is used only where it agrees.
    """

    def __init__(
        self,
        model: str,
        *,
        folder: Path | None = None,
        options: ModelOptions | None = None,
        batch_size: int = 16,
        name: str | None = None,
    ) -> None:
        """
        Args:
            model: a Hub name, a model folder, an adapter's folder or a run folder.
            folder: where the base lies, for names that neither the Hub nor the file system knows.
            options: device, dtype and attention are used.
            batch_size: completions scored at once; halved where memory does not suffice.
            name: how verdicts call it; its own name and the first digits of its hash where absent.

        Raises:
            ModelError: there is no such model.
        """
        super().__init__(model, folder, options, batch_size, name)
        self._scores: dict[_Scored, Score] = {}

    def judge(self, comparisons: Sequence[Comparison], watcher: Watcher | None = None) -> list[Verdict]:
        """One verdict for each comparison, in their order.

        Raises:
            ModelError: it cannot be loaded, or is no reward model.
        """
        sides = [(c.prompt, side) for c in comparisons for side in (c.completion_a, c.completion_b)]
        self._score([item for item in dict.fromkeys(sides) if item not in self._scores], watcher or Watcher())
        return [self._verdict(comparison) for comparison in comparisons]

    def _verdict(self, comparison: Comparison) -> Verdict:
        a = self._scores[comparison.prompt, comparison.completion_a]
        b = self._scores[comparison.prompt, comparison.completion_b]
        preferred, reason = preferred_of(a, b)
        detail: dict[str, object] = {"score_a": a.value, "score_b": b.value}
        if preferred is None:
            detail["problem"] = "failed"
        return Verdict(comparison, self._name, preferred, reason, detail=detail)

    def _score(self, items: Sequence[_Scored], watcher: Watcher) -> None:
        if not items:
            return
        policy, renderer = self._load("scores")
        readable: list[tuple[_Scored, Branch]] = []
        for item, branch in zip(items, branches_of(policy, renderer, items), strict=True):
            if isinstance(branch, str):
                self._scores[item] = Score(None, branch)
            else:
                readable.append((item, branch))
        branches = [branch for _, branch in readable]
        layout: Layout = "padded"
        if branches:
            layout = prove_scores(policy, branches[: self._batch_size]).layout

        def work(batch: Sequence[Branch]) -> list[float]:
            with policy.evaluating():
                return [float(score) for score in branch_scores(policy, batch, layout).scores_B]

        scores = in_batches(branches, work, self._batch_size, f"scoring with {self._name}", watcher)
        for (item, _), value in zip(readable, scores, strict=True):
            is_finite = math.isfinite(value)
            self._scores[item] = Score(value) if is_finite else Score(None, f"the score is {value}")
