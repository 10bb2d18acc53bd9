"""Pairwise: two answers at once, in both orders unless chance decides which stands first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from palate.asking import Reply, Request
from palate.judge.orders import verdict_of_calls
from palate.judge.prompting import pairwise_data
from palate.judge.questions import Questions
from palate.judge.reading import read_strictly
from palate.records import Comparison, JudgeCall, Verdict, content_id

__all__ = ["Orders", "Pairwise"]

Orders = Literal["both", "random"]
"""`both` asks twice, with each side first; `random` once, and a hash of the comparison says who is first."""
Side = Literal["a", "b"]


class Pairwise:
    """What is asked about comparisons, and what the replies say."""

    def __init__(self, name: str, questions: Questions, orders: Orders) -> None:
        self._name, self._questions, self._orders = name, questions, orders

    def requests(self, comparisons: Sequence[Comparison]) -> list[Request]:
        """All of them; those about equal texts are equal."""
        return [self._request(c, side) for c in comparisons for side in self._firsts(c)]

    def verdicts(
        self, comparisons: Sequence[Comparison], reply_to: Callable[[Request], Reply]
    ) -> list[Verdict]:
        """One for each comparison; a call for each order asked."""
        detail = {**self._questions.lineage(), "orders": self._orders}
        return [
            verdict_of_calls(
                comparison,
                self._name,
                [self._call(comparison, side, reply_to) for side in self._firsts(comparison)],
                detail,
            )
            for comparison in comparisons
        ]

    def _firsts(self, comparison: Comparison) -> tuple[Side, ...]:
        if self._orders == "both":
            return ("a", "b")
        # Of the texts, not of their names: turning a and b round asks the same question.
        a_is_lower = content_id(comparison.completion_a) <= content_id(comparison.completion_b)
        lower_first = int(content_id(self._questions.seed, comparison.id), 16) % 2 == 0
        return ("a",) if a_is_lower == lower_first else ("b",)

    def _request(self, comparison: Comparison, first: Side) -> Request:
        sides = (comparison.completion_a, comparison.completion_b)
        prompt_id = comparison.prompt_id
        data = pairwise_data(
            comparison.prompt,
            *(sides if first == "a" else sides[::-1]),
            self._questions.references.get(prompt_id),
        )
        return self._questions.request(prompt_id, data)

    def _call(self, comparison: Comparison, first: Side, reply_to: Callable[[Request], Reply]) -> JudgeCall:
        request = self._request(comparison, first)
        reply = reply_to(request)
        read = read_strictly(reply)
        detail: dict[str, Any] = {"request": self._questions.key(request)}
        if read.value is None:
            return JudgeCall(first, None, read.problem, reply.text, {**detail, "why": read.why})
        other: Side = "b" if first == "a" else "a"
        names: dict[str, Literal["a", "b", "tie"]] = {"first": first, "second": other, "tie": "tie"}
        detail["reasoning"] = read.value["reasoning"]
        if "criteria" in read.value:
            detail["criteria"] = {name: names[said] for name, said in read.value["criteria"].items()}
        return JudgeCall(first, names[read.value["verdict"]], "", reply.text, detail)
