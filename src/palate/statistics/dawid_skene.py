"""One label from several raters, each weighed by how well it does: the model of Dawid and Skene.

Every item has a true class, every rater a confusion matrix: how often it says k where the truth is j. Neither
is known; both are estimated together, by expectation and maximisation (Applied Statistics 28, 1979).

It pays where some raters are much better than others. Among raters alike, and with few items, the majority
does as well or better: in simulation with 12 to 60 items by up to two points in a hundred, where one good
rater of 200 items among four poor ones is worth six the other way.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.statistics.resampling import places

__all__ = ["Pooled", "pool"]

SMOOTHING = 1.0
"""How many labels are added to each cell of each confusion matrix, and twice as many where rater and truth
agree: a rater with few labels is believed less than its luck says, and one who was never seen to err is not
taken to be unable to. Dawid and Skene add nothing."""

_TIE = 1e-9
"""Two classes are level where their probabilities differ by less: no more than rounding does."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """What the raters say together, and what that says of each of them."""

    probabilities: Mapping[Hashable, Mapping[Hashable, float]]
    """Of each item, of each class."""
    best: Mapping[Hashable, Hashable | None]
    """Each item's most probable class; None where two are exactly as probable."""
    accuracy: Mapping[Hashable, float | None]
    """The expected share of each rater's labels that are right; None for a rater without labels."""
    confusion: Mapping[Hashable, Mapping[Hashable, Mapping[Hashable, float]]]
    """`confusion[rater][truth][said]`, smoothed; each row adds up to 1."""
    shares: Mapping[Hashable, float]
    """How common each class is taken to be."""
    num_steps: int
    """Rounds of expectation and maximisation."""
    notes: tuple[str, ...]
    """What the labels cannot tell."""


def pool(
    labels: Mapping[Hashable, Mapping[Hashable, Hashable]],
    *,
    classes: Sequence[Hashable],
    smoothing: float = SMOOTHING,
    tolerance: float = 1e-8,
    max_steps: int = 2_000,
) -> Pooled:
    """Estimate the true class of each item.

    It starts at each item's shares of labels, the vote of the majority made soft, and goes on until no
    probability moves by more than the tolerance. The same labels give the same figures, in any order.

    Args:
        labels: each rater's label of each item; an item that is missing, or None, was not rated.
        classes: every label there can be; "tie" may be one of them.
        smoothing: see `SMOOTHING`; 0 for the paper's own estimate.
        tolerance: of a probability.
        max_steps: at most so many rounds.

    Raises:
        ValueError: a label that is none of the classes.
    """
    number = {name: place for place, name in enumerate(classes)}
    if len(number) < 2 or len(number) != len(classes):
        raise ValueError("two classes or more, each once")
    item_at = places(item for given in labels.values() for item, label in given.items() if label is not None)
    rater_at = places(labels)
    votes = sorted(
        (item_at[item], rater_at[rater], _number(number, label))
        for rater, given in labels.items()
        for item, label in given.items()
        if label is not None
    )
    if not votes:
        nothing = dict.fromkeys(rater_at)
        return Pooled({}, {}, nothing, {}, {}, 0, ("nothing was labelled",))
    items, raters, said = (np.array(column) for column in zip(*votes, strict=True))
    em = _Rounds(items, raters, said, len(number), len(rater_at), smoothing)
    posterior = em.start()
    num_steps, moved = 0, np.inf
    while num_steps < max_steps and moved >= tolerance:
        shares, confusion = em.maximised(posterior)
        previous, posterior = posterior, em.expected(shares, confusion)
        num_steps, moved = num_steps + 1, float(np.abs(posterior - previous).max())
    shares, confusion = em.maximised(posterior)
    right, given_by = em.accuracies(posterior)
    notes = _notes(len(set(raters.tolist())), moved >= tolerance)
    return Pooled(
        {item: _named(classes, row) for item, row in zip(item_at, posterior, strict=True)},
        {item: _best(classes, row) for item, row in zip(item_at, posterior, strict=True)},
        {
            rater: float(right[place] / given_by[place]) if given_by[place] else None
            for rater, place in rater_at.items()
        },
        {
            rater: {truth: _named(classes, row) for truth, row in zip(classes, confusion[place], strict=True)}
            for rater, place in rater_at.items()
            if given_by[place]
        },
        _named(classes, shares),
        num_steps,
        notes,
    )


@dataclass(frozen=True, slots=True)
class _Rounds:
    """The labels as numbers, one place in each array for a label, and the two halves of a round."""

    items: NDArray[np.int64]
    raters: NDArray[np.int64]
    said: NDArray[np.int64]
    num_classes: int
    num_raters: int
    smoothing: float

    def start(self) -> NDArray[np.float64]:
        """[items, classes]: each item's shares of labels."""
        counts = np.zeros((int(self.items.max()) + 1, self.num_classes))
        np.add.at(counts, (self.items, self.said), 1)
        return counts / counts.sum(axis=1, keepdims=True)

    def maximised(self, posterior: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """[classes] shares and [raters, truth, said] confusion, most likely given the posterior."""
        added = self.smoothing * (1 + np.eye(self.num_classes))
        counts = np.tile(added, (self.num_raters, 1, 1))
        np.add.at(counts.transpose(0, 2, 1), (self.raters, self.said), posterior[self.items])
        totals = counts.sum(axis=2, keepdims=True)
        # A class that a rater never met says nothing of him there: without smoothing it would be 0 / 0.
        even = np.full_like(counts, 1 / self.num_classes)
        return posterior.mean(axis=0), np.divide(counts, totals, out=even, where=totals > 0)

    def expected(self, shares: NDArray[np.float64], confusion: NDArray[np.float64]) -> NDArray[np.float64]:
        """[items, classes]: the posterior, summed as logarithms, since many raters' product underflows."""
        tiny = np.finfo(np.float64).tiny
        logs = np.tile(np.log(np.maximum(shares, tiny)), (int(self.items.max()) + 1, 1))
        np.add.at(logs, self.items, np.log(np.maximum(confusion, tiny))[self.raters, :, self.said])
        logs -= logs.max(axis=1, keepdims=True)
        weights = np.exp(logs)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def accuracies(self, posterior: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """[raters]: the expected number of right labels, and the number of labels."""
        right = np.zeros(self.num_raters)
        np.add.at(right, self.raters, posterior[self.items, self.said])
        return right, np.bincount(self.raters, minlength=self.num_raters)


def _number(number: Mapping[Hashable, int], label: Hashable) -> int:
    if label not in number:
        raise ValueError(f"{label!r} is none of the classes: {', '.join(map(repr, number))}")
    return number[label]


def _named(classes: Sequence[Hashable], row: NDArray[np.float64]) -> dict[Hashable, float]:
    return dict(zip(classes, row.tolist(), strict=True))


def _best(classes: Sequence[Hashable], row: NDArray[np.float64]) -> Hashable | None:
    order = np.argsort(-row, kind="stable")
    return None if row[order[0]] - row[order[1]] < _TIE else classes[int(order[0])]


def _notes(num_raters: int, unfinished: bool) -> tuple[str, ...]:
    notes = []
    if num_raters == 1:
        notes.append("One rater: there is nobody to check it by, and it is taken at its word.")
    if num_raters == 2:
        notes.append(
            "Two raters: where they disagree nothing tells which of them is the better one, so their "
            "accuracies, and what rests on them, are not to be relied on."
        )
    if unfinished:
        notes.append("It had not settled when the rounds ran out.")
    return tuple(notes)
