"""Which curves a report shows, what each says, and the numbers behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from palate.evaluate.diagnosis.curves import Metrics, Series, series
from palate.recipe import OBJECTIVES
from palate.report.checked import LARGEST_FIGURE
from palate.report.phrases import ENGLISH, Phrases
from palate.report.wording import number

__all__ = ["PANELS", "Curve", "Line", "Panel", "Rewards", "Table", "curves", "rewards_of"]

MAX_TABLE_ROWS = 200
Rewards = Literal["moved", "alone", "model"]
"""Log-ratios against a reference; scores of an objective that has none; a reward model's scores."""


@dataclass(frozen=True, slots=True)
class Line:
    """One metric in a panel. `colour` is a name of the page's palette."""

    key: str
    name: str
    colour: str = "accent"


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: metrics that are read together. `level` is a line to read them against, with its meaning.

    Names are those of the wording. `share` says that the values are shares of one, `smooth` that a running
    mean helps to read them.
    """

    name: str
    lines: tuple[Line, ...]
    level: tuple[float, str] | None = None
    share: bool = False
    smooth: bool = True


LN_2 = (math.log(2), "level_ln_2")
PANELS = (
    Panel("loss", (Line("loss", "loss"),)),
    Panel(
        "rewards",
        (
            Line("rewards_chosen", "chosen"),
            Line("rewards_rejected", "rejected", "contrast"),
            Line("rewards_margin", "margin", "third"),
        ),
        (0.0, ""),
    ),
    Panel("accuracy", (Line("rewards_accuracy", "accuracy"),), (0.5, "level_chance"), share=True),
    Panel(
        "logps",
        (
            Line("logps_chosen_per_token", "chosen"),
            Line("logps_rejected_per_token", "rejected", "contrast"),
        ),
    ),
    Panel("lengths", (Line("chosen_length", "chosen"), Line("rejected_length", "rejected", "contrast"))),
    Panel("kl", (Line("kl", "kl"),), (0.0, "")),
    Panel("grad_norm", (Line("grad_norm", "grad_norm"),)),
    Panel("learning_rate", (Line("learning_rate", "learning_rate"),), smooth=False),
)


@dataclass(frozen=True, slots=True)
class Curve:
    """A panel with its numbers: per line the training and the evaluation series, either possibly empty."""

    panel: Panel
    train: tuple[Series, ...]
    eval: tuple[Series, ...]
    best_step: int | None
    level: tuple[float, str] | None
    say: Phrases = ENGLISH
    rewards: Rewards = "moved"

    @property
    def title(self) -> str:
        return self.say(f"curve_{self.panel.name}")

    @property
    def explanation(self) -> str:
        if self.panel.name == "rewards" and self.rewards != "moved":
            return self.say(f"curve_rewards_{self.rewards}_note")
        return self.say(f"curve_{self.panel.name}_note")

    @property
    def line_names(self) -> tuple[str, ...]:
        """What each line of the panel is called."""
        return tuple(self.say(f"line_{line.name}") for line in self.panel.lines)

    @property
    def drawn(self) -> tuple[int, ...]:
        """Which lines have anything to draw."""
        return tuple(i for i in range(len(self.panel.lines)) if self.train[i] or self.eval[i])

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is missing from the lines, in words: a gap is never smoothed over."""
        notes = []
        for index, name in enumerate(self.line_names):
            for split, found in (("train", self.train[index]), ("eval", self.eval[index])):
                if found.gaps and (found or self.panel.name == "loss"):
                    notes.append(_gap_in_words(name, split, found, self.say))
        return tuple(notes)

    @property
    def label(self) -> str:
        """The plot in a sentence, for whoever cannot see it."""
        parts = []
        for index in self.drawn:
            for split, found in (("train", self.train[index]), ("eval", self.eval[index])):
                finite = [v for v in found.values if not math.isnan(v)]
                if finite:
                    name = self.say(f"{split}_column", name=self.line_names[index])
                    ends = {"first": number(finite[0]), "last": number(finite[-1])}
                    parts.append(self.say("curve_from_to", name=name, **ends))
        label = self.say("labelled", name=self.title, text=self.say("list_comma").join(parts))
        if self.best_step is None:
            return label
        return label + self.say("clause_semicolon") + self.say("best_step", step=self.best_step)

    @property
    def table(self) -> Table:
        return _table(self)


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers behind a plot. `note` says which rows are left out, where any are."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    note: str


def curves(
    metrics: Metrics, *, best_step: int | None, objective: str | None, say: Phrases = ENGLISH
) -> list[Curve]:
    """The panels that this run has numbers for; the loss always, where it was written at all."""
    found = []
    rewards = rewards_of(objective)
    for panel in PANELS:
        level = LN_2 if panel.name == "loss" and objective == "dpo" else panel.level
        train = tuple(_drawable(series(metrics.train, line.key)) for line in panel.lines)
        evaluation = tuple(_drawable(series(metrics.eval, line.key)) for line in panel.lines)
        if level is not None and level[1]:
            level = level[0], say(level[1])
        curve = Curve(panel, train, evaluation, best_step, level, say, rewards)
        if curve.drawn or curve.gaps:
            found.append(curve)
    return found


def _drawable(found: Series) -> Series:
    """What no axis reaches is a gap: a run that has blown up so far has no figure there."""
    values = tuple(value if abs(value) <= LARGEST_FIGURE else math.nan for value in found.values)
    return Series(found.steps, values)


def rewards_of(objective: str | None) -> Rewards:
    """What the objective's rewards are."""
    options = OBJECTIVES.get(objective or "")
    if options is None or options.needs_reference:
        return "moved"
    return "model" if options.reads == "scores" else "alone"


def _gap_in_words(name: str, split: str, found: Series, say: Phrases) -> str:
    where = ", ".join(str(step) for step in found.gaps[:5]) + (", …" if len(found.gaps) > 5 else "")
    steps = say(f"{split}_steps", n=len(found.steps))
    name = name[0].upper() + name[1:]
    return say("curve_gap", name=name, gaps=len(found.gaps), steps=steps, where=where)


def _table(curve: Curve) -> Table:
    columns = [
        (curve.say(f"{split}_column", name=name), found)
        for split, group in (("train", curve.train), ("eval", curve.eval))
        for name, found in zip(curve.line_names, group, strict=True)
        if found.steps
    ]
    by_step = [dict(zip(found.steps, found.values, strict=True)) for _, found in columns]
    steps = sorted({step for values in by_step for step in values})
    evaluated = {step for found in curve.eval for step in found.steps}
    best = {curve.best_step} if curve.best_step is not None else set()
    kept = _thinned(steps, best | set(_thinned(sorted(evaluated), set())))
    rows = tuple(
        (step, tuple(number(values[step]) if step in values else "" for values in by_step)) for step in kept
    )
    thinned = len(kept) < len(steps)
    note = curve.say("curve_thinned", kept=len(kept), steps=len(steps)) if thinned else ""
    return Table(tuple(name for name, _ in columns), rows, note)


def _thinned(steps: list[int], always: set[int]) -> list[int]:
    if len(steps) <= MAX_TABLE_ROWS:
        return steps
    stride = math.ceil(len(steps) / MAX_TABLE_ROWS)
    return [
        step for place, step in enumerate(steps) if place % stride == 0 or step in always or step == steps[-1]
    ]
