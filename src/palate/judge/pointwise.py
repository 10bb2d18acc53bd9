"""Pointwise: one answer at a time gets a score, and the higher of two scores is preferred."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from palate.asking import Reply, Request
from palate.judge.prompting import pointwise_data
from palate.judge.questions import Questions
from palate.judge.reading import read_strictly
from palate.judge.scoring import Score, preferred_of
from palate.records import Comparison, Messages, Verdict

__all__ = ["Pointwise"]


class Pointwise:
    """What is asked about the answers in comparisons, and what the replies say.

    An answer that stands in several comparisons is one request, and has one score.
    """

    def __init__(self, name: str, questions: Questions) -> None:
        self._name, self._questions = name, questions

    def requests(self, comparisons: Sequence[Comparison]) -> list[Request]:
        """All of them; those about equal texts are equal."""
        return [
            self._request(comparison, completion)
            for comparison in comparisons
            for completion in (comparison.completion_a, comparison.completion_b)
        ]

    def verdicts(
        self, comparisons: Sequence[Comparison], reply_to: Callable[[Request], Reply]
    ) -> list[Verdict]:
        """One for each comparison; the scores, and what was said of each answer, stand in its detail."""
        return [self._verdict(comparison, reply_to) for comparison in comparisons]

    def _request(self, comparison: Comparison, completion: Messages) -> Request:
        prompt_id = comparison.prompt_id
        data = pointwise_data(comparison.prompt, completion, self._questions.references.get(prompt_id))
        return self._questions.request(prompt_id, data)

    def _verdict(self, comparison: Comparison, reply_to: Callable[[Request], Reply]) -> Verdict:
        detail: dict[str, Any] = self._questions.lineage()
        scores: list[Score] = []
        for side, completion in (("a", comparison.completion_a), ("b", comparison.completion_b)):
            request = self._request(comparison, completion)
            reply = reply_to(request)
            read = read_strictly(reply)
            said: dict[str, Any] = {"request": self._questions.key(request), "text": reply.text}
            if read.value is None:
                detail.setdefault("problem", read.problem)
                said["problem"] = read.problem
                scores.append(Score(None, f"{read.problem}: {read.why}" if read.why else read.problem))
            else:
                said.update(read.value)
                scores.append(Score(self._score(read.value)))
            detail[f"score_{side}"] = scores[-1].value
            detail[f"said_{side}"] = said
        preferred, reason = preferred_of(*scores)
        return Verdict(comparison, self._name, preferred, reason, detail=detail)

    def _score(self, said: Any) -> float:
        """The score, or the mean of the criteria's by their weights."""
        criteria = self._questions.rubric.criteria
        if not criteria:
            return float(said["score"])
        total = sum(criterion.weight * said["criteria"][criterion.name] for criterion in criteria)
        # Two means that are equal on paper must not differ in the last bit: that would be a preference.
        return round(total / sum(criterion.weight for criterion in criteria), 9)
