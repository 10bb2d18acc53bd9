"""Several judges as one: each is asked on its own, and their verdicts are pooled.

The jurors' verdicts stay with the pooled one, as plain data that survives being written to a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, cast

from palate.errors import JudgeError
from palate.judge.judging import Judge
from palate.judge.sides import Label, label_of, most, side_of
from palate.records import Comparison, JudgeCall, Verdict
from palate.statistics import dawid_skene
from palate.watcher import Watcher

__all__ = ["Jury", "Pooling", "jurors_of", "problems_of"]

Pooling = Literal["majority", "dawid_skene"]

_LABELS: tuple[Label, ...] = ("one", "other", "tie")


class Jury:
    """A judge made of judges.

    A pooled verdict needs a quorum: more than half of the jurors with a verdict of their own. Without it the
    verdict is missing (`no_quorum`), never the opinion of the few who answered.

    `majority`: what more jurors say than anything else. Where the most common answers are level, a tie.
    `dawid_skene`: jurors are weighted by how well each agrees with the rest over all the comparisons (Dawid
    and Skene 1979); a tie where the two most likely answers are exactly as likely. It needs three jurors:
    with two, nothing tells which of them is the better one.
    """

    def __init__(self, judges: Sequence[Judge], pooling: Pooling = "majority") -> None:
        """Form the jury.

        Raises:
            JudgeError: fewer than two judges (three for `dawid_skene`), or two of one name.
        """
        if len(judges) < 2:
            raise JudgeError(
                f"a jury of {len(judges)}", why="one judge is no jury", next="name two judges or more"
            )
        if pooling == "dawid_skene" and len(judges) < 3:
            raise JudgeError(
                "dawid_skene with a jury of 2",
                why="where two jurors disagree nothing tells which of them is the better one",
                next="add a third judge, or pool by majority",
            )
        repeated = [name for name, count in Counter(judge.name for judge in judges).items() if count > 1]
        if repeated:
            raise JudgeError(
                f'two jurors are called "{repeated[0]}"',
                why="their verdicts could not be told apart",
                next="give each judge a name of its own",
            )
        self._judges = tuple(judges)
        self._pooling = pooling

    @property
    def name(self) -> str:
        """The jurors' names."""
        return f"jury of {', '.join(judge.name for judge in self._judges)}"

    @property
    def judges(self) -> tuple[Judge, ...]:
        """The jurors."""
        return self._judges

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that any juror asks, each once."""
        return tuple(dict.fromkeys(model for judge in self._judges for model in judge.models))

    def judge(self, comparisons: Sequence[Comparison], watcher: Watcher | None = None) -> list[Verdict]:
        """One pooled verdict for each comparison, in their order.

        Raises:
            PalateError: a juror can judge nothing at all.
        """
        by_juror = [juror.judge(comparisons, watcher) for juror in self._judges]
        pool = _by_majority if self._pooling == "majority" else _by_dawid_skene
        pooled = pool(by_juror)
        return [
            self._verdict(comparison, [verdicts[index] for verdicts in by_juror], *pooled[index])
            for index, comparison in enumerate(comparisons)
        ]

    def _verdict(
        self,
        comparison: Comparison,
        jurors: Sequence[Verdict],
        label: Label | None,
        probabilities: _Probabilities,
    ) -> Verdict:
        detail: dict[str, Any] = {
            "pooling": self._pooling,
            "jurors": [
                {"judge": juror.name, "models": list(juror.models), **_plain(verdict)}
                for juror, verdict in zip(self._judges, jurors, strict=True)
            ],
        }
        given = [verdict.preferred for verdict in jurors if verdict.preferred]
        if 2 * len(given) <= len(jurors):
            reason = f"{len(given)} of {len(jurors)} jurors gave a verdict: no quorum"
            detail["problem"] = "no_quorum"
            return Verdict(comparison, self.name, None, reason, detail=detail)
        preferred = side_of(comparison, label or "tie")
        if probabilities is not None:
            named = {side_of(comparison, one): value for one, value in probabilities.items()}
            detail["probabilities"] = {side: named[side] for side in ("a", "b", "tie")}
        counts = Counter(given)
        said = ", ".join(f"{counts[side]} {side}" for side in ("a", "b", "tie") if counts[side])
        num_missing = len(jurors) - len(given)
        reason = f"jurors: {said}" + (f", {num_missing} missing" if num_missing else "")
        return Verdict(comparison, self.name, preferred, reason, detail=detail)


def jurors_of(verdict: Verdict) -> list[tuple[Verdict, tuple[str, ...]]]:
    """A jury's verdict taken apart: each juror's own, and the models that juror asks; empty for one judge."""
    jurors: Sequence[Mapping[str, Any]] = verdict.detail.get("jurors", ())
    return [
        (
            Verdict(
                comparison=verdict.comparison,
                judge=juror["judge"],
                preferred=juror["preferred"],
                reason=juror["reason"],
                flipped=juror["flipped"],
                calls=tuple(JudgeCall(**call) for call in juror["calls"]),
                detail=juror["detail"],
            ),
            tuple(juror["models"]),
        )
        for juror in jurors
    ]


def problems_of(verdict: Verdict) -> list[str]:
    """The kinds of problem of all looks that gave nothing, a jury's jurors' too; by name, each once."""
    own = [juror for juror, _ in jurors_of(verdict)] or [verdict]
    kinds = [call.problem for one in own for call in one.calls if call.preferred is None]
    kinds += [str(one.detail.get("problem") or "") for one in own if one.preferred is None]
    return sorted({kind for kind in kinds if kind})


def _plain(verdict: Verdict) -> dict[str, Any]:
    return {
        "preferred": verdict.preferred,
        "reason": verdict.reason,
        "flipped": verdict.flipped,
        "calls": [
            {
                "shown_first": call.shown_first,
                "preferred": call.preferred,
                "problem": call.problem,
                "text": call.text,
                "detail": dict(call.detail),
            }
            for call in verdict.calls
        ],
        "detail": dict(verdict.detail),
    }


_Probabilities = Mapping[Label, float] | None
_Pooled = tuple[Label | None, _Probabilities]


def _by_majority(by_juror: Sequence[Sequence[Verdict]]) -> list[_Pooled]:
    return [
        (most(label_of(v.comparison, v.preferred) for v in verdicts if v.preferred), None)
        for verdicts in zip(*by_juror, strict=True)
    ]


def _by_dawid_skene(by_juror: Sequence[Sequence[Verdict]]) -> list[_Pooled]:
    # Sides by content: a juror that leans to `a` would otherwise seem skilled where `a` is always the better.
    labels: dict[Hashable, dict[Hashable, Hashable]] = {
        str(number): {
            index: label_of(v.comparison, v.preferred) for index, v in enumerate(verdicts) if v.preferred
        }
        for number, verdicts in enumerate(by_juror)
    }
    found = dawid_skene.pool(labels, classes=_LABELS)
    return [
        (cast(Label | None, found.best.get(index)), cast(_Probabilities, found.probabilities.get(index)))
        for index in range(len(by_juror[0]))
    ]
