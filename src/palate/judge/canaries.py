"""Questions whose answer is known: the judge gets them in every run, among the real ones.

Each canary is a comparison made of the run's own prompts and answers in which a sound judge can only say one
thing, whatever anyone's taste is. They are asked through the same judge, so they test what the run rests on:
the model, the rubric, the prompt, the reading of verdicts. `canary_questions` makes them.

When does a canary fail? Even an honest judge slips. A canary asked n times fails when more than k of its
verdicts are wrong, k being the fewest that an honest judge with one slip in twenty exceeds at most one time
in fifty (but always fewer than n, so that what went wrong every time fails):

    n = 1           k = 0      such a judge would fail it by mistake 5.0% of the time
    n = 2           k = 1      0.3%
    n = 3           k = 1      0.7%
    n = 4 (usual)   k = 1      1.4%, or 6.8% for any of the five
    n = 8           k = 2      0.6%

A judge that slips once in a hundred fails any of the five at n = 4 in 0.3% of runs. One that is wrong half
of the time on a canary fails it at n = 4 in 69% of runs, one that is wrong three times of four in 95%, one
that is always wrong in all. A missing verdict is not wrong: it is counted by itself, and a canary without
any verdict has neither passed nor failed. Nor has the identical pair where the rubric allows no ties: one of
the two had to be chosen, and that says nothing of the judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from palate.judge.canary_questions import CANARIES, Canary, CanaryName, is_forced, make_canaries
from palate.judge.judging import Judge
from palate.judge.jury import jurors_of
from palate.records import Comparison, Messages, Verdict
from palate.watcher import Watcher

__all__ = [
    "CanaryResult",
    "num_slips_allowed",
    "results_of_jurors",
    "run_canaries",
]

_EXAMPLES_KEPT = 2
_EXCERPT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """What a judge made of one canary, asked several times."""

    name: CanaryName
    asked: tuple[Canary, ...]
    verdicts: tuple[Verdict, ...]
    """One for each canary that was asked, in the same order."""
    why_not_asked: str = ""
    """Why the run's own comparisons gave no such canary."""

    @property
    def what(self) -> str:
        """What the canary demands, in words."""
        return CANARIES[self.name]

    @property
    def num_asked(self) -> int:
        """How many times it was asked."""
        return len(self.asked)

    @property
    def num_missing(self) -> int:
        """Those without a verdict."""
        return sum(verdict.preferred is None for verdict in self.verdicts)

    @property
    def wrong(self) -> tuple[Verdict, ...]:
        """Verdicts that no sound judge gives."""
        pairs = zip(self.asked, self.verdicts, strict=True)
        return tuple(v for canary, v in pairs if self._tells(v) and canary.is_wrong(v))

    @property
    def num_forced(self) -> int:
        """Verdicts on identical answers under a rubric that allows no ties: they show nothing."""
        return sum(verdict.preferred is not None and not self._tells(verdict) for verdict in self.verdicts)

    @property
    def num_telling(self) -> int:
        """Verdicts that can be right or wrong."""
        return self.num_asked - self.num_missing - self.num_forced

    def _tells(self, verdict: Verdict) -> bool:
        return verdict.preferred is not None and not (self.name == "identical_pair" and is_forced(verdict))

    @property
    def why_nothing(self) -> str:
        """Why it shows nothing; empty where it shows something."""
        if self.num_telling:
            return ""
        if self.num_forced:
            return "the rubric allows no ties, so that one of two identical answers has to be preferred"
        return self.why_not_asked or f"all {self.num_asked} verdicts are missing"

    @property
    def num_failed(self) -> int:
        """How many verdicts were wrong."""
        return len(self.wrong)

    @property
    def num_flipped(self) -> int:
        """Ties that are none of the judge's saying: each order preferred another answer."""
        return sum(verdict.flipped for verdict in self.verdicts)

    @property
    def num_wrong_ties(self) -> int:
        """Those of the wrong verdicts that are ties: the judge saw no difference, or the order decided."""
        return sum(verdict.preferred == "tie" for verdict in self.wrong)

    @property
    def passed(self) -> bool | None:
        """By the rule in this module's docstring; None where there is no verdict to go by."""
        num = self.num_telling
        return self.num_failed <= num_slips_allowed(num) if num else None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the card, with wrong verdicts as examples (missing ones, where none is)."""
        missing = tuple(verdict for verdict in self.verdicts if verdict.preferred is None)
        return {
            "name": self.name,
            "what": self.what,
            "num_asked": self.num_asked,
            "num_failed": self.num_failed,
            "num_missing": self.num_missing,
            "num_flipped": self.num_flipped,
            "num_forced": self.num_forced,
            "num_slips_allowed": num_slips_allowed(self.num_telling),
            "passed": self.passed,
            "why_not_asked": self.why_not_asked or None,
            "examples": [_example(verdict) for verdict in (self.wrong or missing)[:_EXAMPLES_KEPT]],
        }


def num_slips_allowed(num_given: int) -> int:
    """How many wrong verdicts of `num_given` an honest judge may give: see the module's docstring."""
    allowed = next(k for k in range(num_given + 1) if _more_than(k, num_given) <= 0.02)
    return max(min(allowed, num_given - 1), 0)


def _more_than(k: int, num: int) -> float:
    """The chance of more than k slips of `num`, with one in twenty."""
    from scipy.special import bdtrc

    return float(bdtrc(k, num, 0.05))


def run_canaries(
    judge: Judge,
    comparisons: Sequence[Comparison],
    *,
    num: int = 4,
    seed: int = 0,
    watcher: Watcher | None = None,
) -> list[CanaryResult]:
    """Ask a judge every canary that the run's comparisons give; one result for each kind, in a fixed order.

    Args:
        judge: the one that judges the run.
        comparisons: the run's own.
        num: how many of each kind.
        seed: which ones.
        watcher: is told how it goes.

    Raises:
        PalateError: the judge can judge nothing at all.
    """
    canaries = make_canaries(comparisons, num=num, seed=seed)
    verdicts: dict[int, Verdict] = {}
    for indexes in _rounds(canaries):
        given = judge.judge([canaries[index].comparison for index in indexes], watcher)
        verdicts.update(zip(indexes, given, strict=True))
    results = []
    for name in CANARIES:
        asked = [index for index, canary in enumerate(canaries) if canary.name == name]
        results.append(
            CanaryResult(
                name=name,
                asked=tuple(canaries[index] for index in asked),
                verdicts=tuple(verdicts[index] for index in asked),
                why_not_asked="" if asked else _why_none(len(canaries)),
            )
        )
    return results


def results_of_jurors(results: Iterable[CanaryResult]) -> dict[str, list[CanaryResult]]:
    """A jury's results taken apart: every juror's own, by the juror's name; empty for one judge."""
    of_jurors: dict[str, list[CanaryResult]] = {}
    for result in results:
        by_name: dict[str, list[Verdict]] = {}
        for verdict in result.verdicts:
            for own, _ in jurors_of(verdict):
                by_name.setdefault(own.judge, []).append(own)
        for name, verdicts in by_name.items():
            own_result = CanaryResult(result.name, result.asked, tuple(verdicts), result.why_not_asked)
            of_jurors.setdefault(name, []).append(own_result)
    return of_jurors


def _rounds(canaries: Sequence[Canary]) -> list[list[int]]:
    """Indexes in rounds with no prompt twice: who ranks all answers to a prompt at once sees two of them."""
    rounds: list[list[int]] = []
    seen: dict[Messages, int] = {}
    for index, canary in enumerate(canaries):
        number = seen.get(canary.comparison.prompt, 0)
        seen[canary.comparison.prompt] = number + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(index)
    return rounds


def _why_none(num_canaries: int) -> str:
    if not num_canaries:
        return "the run holds no answer that says anything"
    return "it takes a different answer to another prompt, and the run holds none"


def _example(verdict: Verdict) -> dict[str, Any]:
    comparison = verdict.comparison
    last = comparison.prompt[-1].content if comparison.prompt else ""
    return {
        "prompt": _short(last),
        "completion_a": _short(comparison.completion_a[-1].content),
        "completion_b": _short(comparison.completion_b[-1].content),
        "preferred": verdict.preferred,
        "flipped": verdict.flipped,
        "reason": _short(verdict.reason),
    }


def _short(text: str) -> str:
    return text if len(text) <= _EXCERPT_CHARACTERS else text[: _EXCERPT_CHARACTERS - 1] + "…"
