"""Listwise: all answers to a prompt at once are put in order, and comparisons are read from their places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from palate.asking import Reply, Request
from palate.errors import JudgeError
from palate.judge.orders import verdict_of_calls
from palate.judge.pairwise import Orders
from palate.judge.prompting import listwise_data
from palate.judge.questions import Questions
from palate.judge.reading import read_strictly
from palate.records import Comparison, JudgeCall, Messages, Verdict, content_id

__all__ = ["MAX_ANSWERS", "Listwise"]

MAX_ANSWERS = 12
"""Answers to one prompt that are put in order at once. Judges lose sight of longer lists."""


_Answer = tuple[Messages, int]
"""A text, and which copy of it: a comparison of a text with itself shows it twice, in a list of its own."""
_List = tuple[Messages, Messages | None]
"""What is put in order together: a prompt's answers; or the two copies, by prompt and text."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What came of one request: each answer's place, or why there is none."""

    order: tuple[_Answer, ...]
    places: Mapping[_Answer, int] | None
    text: str
    problem: str
    detail: Mapping[str, Any]


class Listwise:
    """What is asked about the answers to each prompt, and what the replies say."""

    def __init__(self, name: str, questions: Questions, orders: Orders) -> None:
        self._name, self._questions, self._orders = name, questions, orders

    def requests(self, comparisons: Sequence[Comparison]) -> list[Request]:
        """One for each prompt and order.

        Raises:
            JudgeError: a prompt has too many answers to be judged at once.
        """
        return [
            self._request(prompt, order)
            for (prompt, _), answers in _lists(comparisons).items()
            for order in self._shown(prompt, answers)
        ]

    def verdicts(
        self, comparisons: Sequence[Comparison], reply_to: Callable[[Request], Reply]
    ) -> list[Verdict]:
        """One for each comparison; a call for each order asked.

        A completion's score in the detail is how many of the others it stands above, the mean of the orders.
        """
        looks = {
            list_of: [self._look(list_of[0], order, reply_to) for order in self._shown(list_of[0], answers)]
            for list_of, answers in _lists(comparisons).items()
        }
        return [self._verdict(comparison, looks[_list_of(comparison)]) for comparison in comparisons]

    def _shown(self, prompt: Messages, answers: Sequence[_Answer]) -> list[tuple[_Answer, ...]]:
        """The order drawn by the seed and the texts, and its reverse: of every two each stands first once."""
        if len(answers) > MAX_ANSWERS:
            raise JudgeError(
                f"a prompt has {len(answers)} different answers, at most {MAX_ANSWERS} are ranked at once",
                where="mode = listwise",
                next="judge pairwise or pointwise, or compare fewer answers of a prompt",
            )
        by_id = sorted(answers, key=content_id)
        drawn = tuple(Random(content_id(self._questions.seed, prompt, *by_id)).sample(by_id, len(by_id)))
        return [drawn, drawn[::-1]] if self._orders == "both" else [drawn]

    def _request(self, prompt: Messages, order: Sequence[_Answer]) -> Request:
        prompt_id = content_id(prompt)
        data = listwise_data(prompt, [text for text, _ in order], self._questions.references.get(prompt_id))
        return self._questions.request(prompt_id, data, num_answers=len(order))

    def _look(
        self, prompt: Messages, order: tuple[_Answer, ...], reply_to: Callable[[Request], Reply]
    ) -> _Look:
        request = self._request(prompt, order)
        reply = reply_to(request)
        read = read_strictly(reply)
        detail: dict[str, Any] = {"request": self._questions.key(request)}
        if read.value is None:
            return _Look(order, None, reply.text, read.problem, {**detail, "why": read.why})
        places = [read.value["places"][f"answer_{number}"] for number in range(1, len(order) + 1)]
        if len(set(places)) < len(places) and not self._questions.rubric.allow_ties:
            why = "two answers have the same place, and there are to be no ties"
            return _Look(order, None, reply.text, "unparsed", {**detail, "why": why})
        detail["reasoning"] = read.value["reasoning"]
        return _Look(order, dict(zip(order, places, strict=True)), reply.text, "", detail)

    def _verdict(self, comparison: Comparison, looks: Sequence[_Look]) -> Verdict:
        a, b = _answers(comparison)
        detail: dict[str, Any] = {**self._questions.lineage(), "orders": self._orders}
        detail["score_a"], detail["score_b"] = _score(a, looks), _score(b, looks)
        return verdict_of_calls(comparison, self._name, [_call(a, b, look) for look in looks], detail)


def _lists(comparisons: Sequence[Comparison]) -> dict[_List, list[_Answer]]:
    """What is put in order together: each prompt's different answers."""
    found: dict[_List, dict[_Answer, None]] = {}
    for comparison in comparisons:
        found.setdefault(_list_of(comparison), {}).update(dict.fromkeys(_answers(comparison)))
    return {list_of: list(answers) for list_of, answers in found.items()}


def _list_of(comparison: Comparison) -> _List:
    a, b = comparison.completion_a, comparison.completion_b
    return comparison.prompt, a if a == b else None


def _answers(comparison: Comparison) -> tuple[_Answer, _Answer]:
    a, b = comparison.completion_a, comparison.completion_b
    return (a, 0), (b, 1 if a == b else 0)


def _call(a: _Answer, b: _Answer, look: _Look) -> JudgeCall:
    """What a ranking says of two of its answers."""
    first: Literal["a", "b"] = "a" if look.order.index(a) < look.order.index(b) else "b"
    if look.places is None:
        return JudgeCall(first, None, look.problem, look.text, look.detail)
    place_a, place_b = look.places[a], look.places[b]
    preferred: Literal["a", "b", "tie"] = "tie" if place_a == place_b else "a" if place_a < place_b else "b"
    places = {"place_a": place_a, "place_b": place_b, "num_answers": len(look.order)}
    return JudgeCall(first, preferred, "", look.text, {**look.detail, **places})


def _score(answer: _Answer, looks: Sequence[_Look]) -> float | None:
    above = []
    for look in looks:
        if look.places is None:
            return None
        above.append(sum(place > look.places[answer] for place in look.places.values()))
    return sum(above) / len(above)
