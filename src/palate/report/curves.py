"""Which curves a report shows, what each says, and the numbers behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from palate.evaluate.diagnosis.curves import Metrics, Series, series
from palate.report.wording import number, plural

__all__ = ["PANELS", "Curve", "Line", "Panel", "Table", "curves"]

MAX_TABLE_ROWS = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One metric in a panel. `colour` is a name of the page's palette."""

    key: str
    name: str
    colour: str = "accent"


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: metrics that are read together. `level` is a line to read them against, with its meaning.

    `share` says that the values are shares of one, `smooth` that a running mean helps to read them.
    """

    name: str
    title: str
    explanation: str
    lines: tuple[Line, ...]
    level: tuple[float, str] | None = None
    share: bool = False
    smooth: bool = True


LN_2 = (math.log(2), "ln 2: no preference yet")
PANELS = (
    Panel("loss", "Loss", "What training lowers.", (Line("loss", "loss"),)),
    Panel(
        "rewards",
        "Rewards",
        "How far the model has moved towards each answer, against the base.",
        (
            Line("rewards_chosen", "chosen"),
            Line("rewards_rejected", "rejected", "contrast"),
            Line("rewards_margin", "margin", "third"),
        ),
        (0.0, ""),
    ),
    Panel(
        "accuracy",
        "Reward accuracy",
        "The share of pairs whose chosen answer has the higher reward.",
        (Line("rewards_accuracy", "accuracy"),),
        (0.5, "chance"),
        share=True,
    ),
    Panel(
        "logps",
        "Log-probability per token",
        "How likely the model finds each answer, whatever its length.",
        (
            Line("logps_chosen_per_token", "chosen"),
            Line("logps_rejected_per_token", "rejected", "contrast"),
        ),
    ),
    Panel(
        "lengths",
        "Completion length",
        "Tokens of the answers in each batch.",
        (Line("chosen_length", "chosen"), Line("rejected_length", "rejected", "contrast")),
    ),
    Panel(
        "kl", "KL estimate", "How far the model has drifted from the base.", (Line("kl", "KL"),), (0.0, "")
    ),
    Panel("grad_norm", "Gradient norm", "Before clipping.", (Line("grad_norm", "gradient norm"),)),
    Panel(
        "learning_rate",
        "Learning rate",
        "As the schedule set it.",
        (Line("learning_rate", "learning rate"),),
        smooth=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Curve:
    """A panel with its numbers: per line the training and the evaluation series, either possibly empty."""

    panel: Panel
    train: tuple[Series, ...]
    eval: tuple[Series, ...]
    best_step: int | None
    level: tuple[float, str] | None

    @property
    def drawn(self) -> tuple[int, ...]:
        """Which lines have anything to draw."""
        return tuple(i for i in range(len(self.panel.lines)) if self.train[i] or self.eval[i])

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is missing from the lines, in words: a gap is never smoothed over."""
        notes = []
        for index, line in enumerate(self.panel.lines):
            for split, found in (("training", self.train[index]), ("evaluation", self.eval[index])):
                if found.gaps and (found or self.panel.name == "loss"):
                    notes.append(_gap_in_words(line.name, split, found))
        return tuple(notes)

    @property
    def label(self) -> str:
        """The plot in a sentence, for whoever cannot see it."""
        parts = []
        for index in self.drawn:
            for split, found in (("train", self.train[index]), ("eval", self.eval[index])):
                finite = [v for v in found.values if not math.isnan(v)]
                if finite:
                    name = self.panel.lines[index].name
                    parts.append(f"{split} {name} from {number(finite[0])} to {number(finite[-1])}")
        best = "" if self.best_step is None else f"; best step {self.best_step}"
        return f"{self.panel.title}: {', '.join(parts)}{best}"

    @property
    def table(self) -> Table:
        return _table(self)


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers behind a plot. `note` says which rows are left out, where any are."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    note: str


def curves(metrics: Metrics, *, best_step: int | None, objective: str | None) -> list[Curve]:
    """The panels that this run has numbers for; the loss always, where it was written at all."""
    found = []
    for panel in PANELS:
        level = LN_2 if panel.name == "loss" and objective == "dpo" else panel.level
        train = tuple(series(metrics.train, line.key) for line in panel.lines)
        evaluation = tuple(series(metrics.eval, line.key) for line in panel.lines)
        curve = Curve(panel, train, evaluation, best_step, level)
        if curve.drawn or curve.gaps:
            found.append(curve)
    return found


def _gap_in_words(name: str, split: str, found: Series) -> str:
    where = ", ".join(str(step) for step in found.gaps[:5]) + (", …" if len(found.gaps) > 5 else "")
    count = f"{len(found.gaps):,} of {plural(len(found.steps), f'{split} step')}"
    return f"{name[0].upper()}{name[1:]}: no finite number at {count} ({where}); the curve has a gap there."


def _table(curve: Curve) -> Table:
    columns = [
        (f"{split} {line.name}", found)
        for split, group in (("train", curve.train), ("eval", curve.eval))
        for line, found in zip(curve.panel.lines, group, strict=True)
        if found.steps
    ]
    by_step = [dict(zip(found.steps, found.values, strict=True)) for _, found in columns]
    steps = sorted({step for values in by_step for step in values})
    evaluated = {step for found in curve.eval for step in found.steps}
    kept = _thinned(steps, evaluated | ({curve.best_step} if curve.best_step is not None else set()))
    rows = tuple(
        (step, tuple(number(values[step]) if step in values else "" for values in by_step)) for step in kept
    )
    note = (
        ""
        if len(kept) == len(steps)
        else f"{len(kept):,} of {len(steps):,} steps; all of them are in metrics.jsonl."
    )
    return Table(tuple(name for name, _ in columns), rows, note)


def _thinned(steps: list[int], always: set[int]) -> list[int]:
    if len(steps) <= MAX_TABLE_ROWS:
        return steps
    stride = math.ceil(len(steps) / MAX_TABLE_ROWS)
    return [
        step for place, step in enumerate(steps) if place % stride == 0 or step in always or step == steps[-1]
    ]
