"""A local language model as a judge that writes nothing: the likelihood of each verdict's word decides.

It reads the question that other judges get, and at its end is held to one word. The log-probability of that
word as its whole answer is computed for `first`, `second` and `tie`; what the three have together is shared
among them. Each comparison is read in both orders. No answer's likelihood is looked at, so how long answers
are has no part in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from palate.engine import Branch, Layout, branch_logps, prove_layout
from palate.evaluate.judges.local import LocalJudge, share_of
from palate.evaluate.reading import branches_of, in_batches
from palate.judge.orders import verdict_of_calls
from palate.judge.prompting import judge_messages, pairwise_data
from palate.judge.rubric import Rubric
from palate.recipe import ModelOptions
from palate.records import Comparison, JudgeCall, Message, Messages, Verdict
from palate.watcher import Watcher

__all__ = ["LogprobJudge"]

_Side = Literal["a", "b"]
_ORDERS: tuple[_Side, _Side] = ("a", "b")
_Group = tuple[Branch, ...]
"""One question with each word behind it."""


class LogprobJudge(LocalJudge):
    """A causal language model of this machine, asked for its next words and not for an answer.

    A verdict is the word that is likeliest in each order. Where the orders disagree on the side it is a tie
    and flipped, as with every judge; the probabilities averaged over both orders stand in its detail.
    """

    def __init__(
        self,
        model: str,
        rubric: Rubric,
        *,
        references: Mapping[str, str] | None = None,
        folder: Path | None = None,
        options: ModelOptions | None = None,
        batch_size: int = 16,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        """
        Args:
            model: a Hub name, a model folder, an adapter's folder or a run folder.
            references: reference answers or notes for grading, by the prompt's id.
            folder: where the base lies, for names that neither the Hub nor the file system knows.
            options: device, dtype and attention are used.
            batch_size: questions read at once; halved where memory does not suffice.
            seed: of the numbers around what is quoted.
            name: how verdicts call it; its own name and the first digits of its hash where absent.

        Raises:
            ModelError: there is no such model.
        """
        super().__init__(model, folder, options, batch_size, name)
        self._rubric, self._references, self._seed = rubric, references or {}, seed
        self._words = ("first", "second", "tie") if rubric.allow_ties else ("first", "second")
        self._known: dict[Messages, Mapping[str, float] | str] = {}

    def judge(self, comparisons: Sequence[Comparison], watcher: Watcher | None = None) -> list[Verdict]:
        """One verdict for each comparison, in their order.

        Raises:
            ModelError: it cannot be loaded, or is a reward model.
        """
        questions = [self._question(c, side) for c in comparisons for side in _ORDERS]
        self._read([q for q in dict.fromkeys(questions) if q not in self._known], watcher or Watcher())
        return [self._verdict(comparison) for comparison in comparisons]

    def _question(self, comparison: Comparison, shown_first: _Side) -> Messages:
        first, second = comparison.completion_a, comparison.completion_b
        if shown_first == "b":
            first, second = second, first
        reference = self._references.get(comparison.prompt_id)
        data = pairwise_data(comparison.prompt, first, second, reference)
        system, user = judge_messages("pairwise", self._rubric, data, seed=self._seed)
        words = ", ".join(f'"{word}"' for word in self._words[:-1]) + f' or "{self._words[-1]}"'
        only = f"There is room for no reasoning and no JSON this time. Answer with one word alone: {words}."
        return (system, Message("user", f"{user.content}\n\n{only}"))

    def _verdict(self, comparison: Comparison) -> Verdict:
        calls = tuple(self._call(comparison, side) for side in _ORDERS)
        rubric = self._rubric
        detail: dict[str, Any] = {
            "rubric": rubric.name,
            "rubric_id": rubric.id,
            "allow_ties": rubric.allow_ties,
        }
        shares = [call.detail["probabilities"] for call in calls if call.preferred is not None]
        if len(shares) == len(calls):
            detail["probabilities"] = {
                side: sum(share.get(side, 0.0) for share in shares) / len(shares)
                for side in ("a", "b", "tie")
            }
        return verdict_of_calls(comparison, self._name, calls, detail)

    def _call(self, comparison: Comparison, shown_first: _Side) -> JudgeCall:
        found = self._known[self._question(comparison, shown_first)]
        if isinstance(found, str):
            return JudgeCall(shown_first, None, "failed", detail={"why": found})
        other: _Side = "b" if shown_first == "a" else "a"
        named: dict[str, _Side | Literal["tie"]] = {"first": shown_first, "second": other, "tie": "tie"}
        shares = {named[word]: share for word, share in found.items()}
        most = max(shares.values())
        likeliest = [side for side, share in shares.items() if share == most]
        preferred = likeliest[0] if len(likeliest) == 1 else "tie"
        return JudgeCall(shown_first, preferred, detail={"probabilities": shares})

    def _read(self, questions: Sequence[Messages], watcher: Watcher) -> None:
        """The share of each word, for questions that were not read before."""
        if not questions:
            return
        policy, renderer = self._load("logps")
        readable: list[tuple[Messages, _Group]] = []
        for question in questions:
            items = [(question, (Message("assistant", word),)) for word in self._words]
            branches = branches_of(policy, renderer, items)
            problem = next((branch for branch in branches if isinstance(branch, str)), None)
            if problem is not None:
                self._known[question] = problem
            else:
                readable.append((question, tuple(b for b in branches if not isinstance(b, str))))
        layout: Layout = "padded"
        if readable:
            layout = prove_layout(policy, readable[0][1]).layout

        def work(groups: Sequence[_Group]) -> list[list[float]]:
            with policy.evaluating():
                logps = branch_logps(policy, [b for group in groups for b in group], layout).sums().tolist()
            size = len(self._words)
            return [share_of(logps[start : start + size]) for start in range(0, len(logps), size)]

        groups = [group for _, group in readable]
        found = in_batches(groups, work, self._batch_size, f"reading with {self._name}", watcher)
        for (question, _), shares in zip(readable, found, strict=True):
            known = dict(zip(self._words, shares, strict=True))
            is_finite = all(map(math.isfinite, shares))
            self._known[question] = known if is_finite else "the log-probabilities are not finite"
