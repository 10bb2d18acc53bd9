"""Comparisons, verdicts and votes by hand, and judges that are functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from palate.judge.orders import verdict_of_calls
from palate.records import Comparison, JudgeCall, Message, Provenance, Verdict, Vote
from palate.watcher import Watcher

__all__ = ["FunctionJudge", "both_orders", "comparison", "given", "turned", "turned_verdict", "vote"]

Preferred = Literal["a", "b", "tie"] | None


def comparison(
    a: str, b: str, prompt: str = "Why?", models: tuple[str | None, str | None] = (None, None)
) -> Comparison:
    """Two answers to one prompt, and who wrote them."""
    detail = {side: {"model": model} for side, model in zip("ab", models, strict=True) if model}
    completions = ((Message("assistant", text),) for text in (a, b))
    return Comparison((Message("user", prompt),), *completions, Provenance("made", detail=detail))


def given(of: Comparison, preferred: Preferred, judge: str = "judge") -> Verdict:
    """A verdict that rests on no looks."""
    return Verdict(of, judge, preferred, "" if preferred else "no score")


def both_orders(of: Comparison, a_first: Preferred, b_first: Preferred, judge: str = "judge") -> Verdict:
    """A verdict from a look in each order; a missing look could not be read."""
    calls = [
        JudgeCall(side, said, "" if said else "unparsed") for side, said in (("a", a_first), ("b", b_first))
    ]
    return verdict_of_calls(of, judge, calls, {})


def vote(on: Comparison, preferred: Literal["a", "b", "tie", "both_bad"], annotator: str = "me") -> Vote:
    """A vote."""
    return Vote(on, annotator, preferred)


def turned(of: Comparison) -> Comparison:
    """The same comparison with its sides swapped."""
    detail = of.provenance.detail
    swapped = {to: detail[side] for side, to in (("a", "b"), ("b", "a")) if side in detail}
    return replace(
        of,
        completion_a=of.completion_b,
        completion_b=of.completion_a,
        provenance=replace(of.provenance, detail={**detail, **swapped} if swapped else detail),
    )


_OTHER: dict[Preferred, Preferred] = {"a": "b", "b": "a", "tie": "tie", None: None}


def turned_verdict(verdict: Verdict) -> Verdict:
    """The same verdict about the swapped comparison."""
    calls = tuple(
        replace(
            call,
            shown_first="b" if call.shown_first == "a" else "a",
            preferred=_OTHER[call.preferred],
        )
        for call in verdict.calls
    )
    return replace(
        verdict,
        comparison=turned(verdict.comparison),
        preferred=_OTHER[verdict.preferred],
        calls=calls,
    )


@dataclass
class FunctionJudge:
    """Shows a function two texts in both orders, and hears `first`, `second`, `tie` or nothing."""

    says: Callable[[str, str, str], str | None]
    """From the prompt and the texts in the order shown."""
    name: str = "judge"
    models: tuple[str, ...] = ()
    asked: list[Comparison] = field(default_factory=list)

    def judge(self, comparisons: Sequence[Comparison], watcher: Watcher | None = None) -> list[Verdict]:
        """One verdict each."""
        self.asked += comparisons
        return [self._verdict(one) for one in comparisons]

    def _verdict(self, one: Comparison) -> Verdict:
        prompt, a, b = (part[-1].content for part in (one.prompt, one.completion_a, one.completion_b))
        forwards = {"first": "a", "second": "b", "tie": "tie", None: None}
        backwards = {"first": "b", "second": "a", "tie": "tie", None: None}
        return both_orders(
            one, forwards[self.says(prompt, a, b)], backwards[self.says(prompt, b, a)], self.name
        )
