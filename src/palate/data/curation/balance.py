"""Taking from longer completions the advantage of being chosen more often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Balance", "LengthFigures", "balanced_by_dropping", "balanced_by_weighing", "length_figures"]

MAX_SHARE_OFF = 0.02
"""How far from one half the share of pairs whose chosen side is longer may stay."""
MAX_EFFECT = 0.05
"""How far from 0 the mean difference may stay, in standard deviations of the difference."""
MAX_WEIGHT = 4.0
"""No pair counts more than this many times what it did, nor less than its inverse."""
_BINS_AN_OCTAVE = 4

Differences = NDArray[np.int64]
Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LengthFigures:
    """How length and preference hang together; ties in length have no part in the share."""

    share_longer: float | None
    """The share of pairs whose chosen side is longer; None where all are equally long."""
    effect_size: float | None
    """The mean of chosen minus rejected in characters, in its standard deviations (Cohen's d of pairs).

    None where all differences are equal: the share says all there is to say.
    """
    mean_difference_characters: float

    @property
    def is_balanced(self) -> bool:
        """Whether both figures are within their bounds."""
        return _share_off(self.share_longer) <= MAX_SHARE_OFF and abs(self.effect_size or 0) <= MAX_EFFECT

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "share_longer": self.share_longer,
            "effect_size": self.effect_size,
            "mean_difference_characters": self.mean_difference_characters,
        }


@dataclass(frozen=True, slots=True)
class Balance:
    """What was done, and the figures before and after."""

    dropped: NDArray[np.bool_]
    factors: Weights
    before: LengthFigures
    after: LengthFigures

    @property
    def is_balanced(self) -> bool:
        """Whether what is left is within both bounds; nothing is not, where there was something."""
        is_nothing_left = bool(len(self.dropped)) and bool(self.dropped.all())
        return self.after.is_balanced and not is_nothing_left

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "before": self.before.as_dict(),
            "after": self.after.as_dict(),
            "is_balanced": self.is_balanced,
            "max_share_off": MAX_SHARE_OFF,
            "max_effect_size": MAX_EFFECT,
        }


def length_figures(differences: Differences, weights: Weights | None = None) -> LengthFigures:
    """The figures of pairs from chosen minus rejected characters, each pair counted by its weight."""
    weights = np.ones(len(differences)) if weights is None else weights
    total = float(weights.sum())
    if not total:
        return LengthFigures(None, None, 0.0)
    longer, shorter = (float(weights[side].sum()) for side in (differences > 0, differences < 0))
    mean = float(weights @ differences) / total
    deviation = float(np.sqrt(weights @ (differences - mean) ** 2 / total))
    share = longer / (longer + shorter) if longer + shorter else None
    return LengthFigures(share, _effect(mean, deviation), mean)


def balanced_by_dropping(differences: Differences, hashes: Sequence[int]) -> Balance:
    """Drop pairs, one at a time, until both figures are within bounds or no drop would help.

    Pairs are put into bins by how large their difference is, four to a doubling, and each is dropped from
    the side that has too much (first by the share, then by the mean) and there from the bin that has most
    more than its mirror image: what is left has the same spread of differences on both sides. Within a bin
    the content's hash decides. The drops stop at the first moment at which the figures are within bounds.
    """
    before = length_figures(differences)
    dropped = np.zeros(len(differences), np.bool_)
    bins = _bins(differences)
    order = np.argsort(np.array(hashes, np.uint64), kind="stable")[::-1]
    queues: dict[tuple[int, int], list[int]] = {}
    for row in order.tolist():
        if differences[row]:
            queues.setdefault((int(np.sign(differences[row])), int(bins[row])), []).append(row)
    count, total = len(differences), int(differences.sum())
    squares = sum(int(difference) ** 2 for difference in differences)
    sides = {sign: int((np.sign(differences) == sign).sum()) for sign in (1, -1)}
    while (sign := _side_in_excess(count, total, squares, sides)) is not None:
        largest = _fullest(queues, sign)
        if largest is None:
            break
        row = queues[sign, largest].pop()
        difference = int(differences[row])
        dropped[row] = True
        count, total, squares = count - 1, total - difference, squares - difference**2
        sides[sign] -= 1
    after = length_figures(differences[~dropped])
    return Balance(dropped, np.ones(len(differences)), before, after)


def balanced_by_weighing(differences: Differences, weights: Weights) -> Balance:
    """Weigh pairs so that in each bin of differences both sides count alike; the bins are those of dropping.

    A bin with one side only is left as it is, and no factor is beyond MAX_WEIGHT; after that all factors are
    scaled so that the mean weight stays what it was.
    """
    factors = np.ones(len(differences))
    bins, signs = _bins(differences), np.sign(differences)
    for number in np.unique(bins[signs != 0]).tolist():
        longer, shorter = ((bins == number) & (signs == sign) for sign in (1, -1))
        both = float(weights[longer].sum()), float(weights[shorter].sum())
        if all(both):
            for side, weight in zip((longer, shorter), both, strict=True):
                factors[side] = np.clip(sum(both) / (2 * weight), 1 / MAX_WEIGHT, MAX_WEIGHT)
    if len(factors):
        factors *= float(weights.sum()) / float(weights @ factors)
    before, after = length_figures(differences, weights), length_figures(differences, weights * factors)
    return Balance(np.zeros(len(differences), np.bool_), factors, before, after)


def _bins(differences: Differences) -> NDArray[np.int64]:
    return np.floor(_BINS_AN_OCTAVE * np.log2(np.maximum(np.abs(differences), 1))).astype(np.int64)


def _side_in_excess(count: int, total: int, squares: int, sides: dict[int, int]) -> int | None:
    """The sign of the side to drop from; None where both figures are within bounds."""
    unequal = sides[1] + sides[-1]
    if not unequal:
        return None
    share = sides[1] / unequal
    if _share_off(share) > MAX_SHARE_OFF:
        return 1 if share > 0.5 else -1
    mean = total / count
    effect = _effect(mean, max(0.0, squares / count - mean**2) ** 0.5)
    if effect is not None and abs(effect) > MAX_EFFECT:
        return 1 if effect > 0 else -1
    return None


def _fullest(queues: dict[tuple[int, int], list[int]], sign: int) -> int | None:
    """The bin of this side that has most more than its mirror image; the larger difference where several."""
    excess = [
        (len(rows) - len(queues.get((-sign, number), ())), number)
        for (side, number), rows in queues.items()
        if side == sign
    ]
    most, number = max(excess, default=(0, 0))
    return number if most > 0 else None


def _share_off(share: float | None) -> float:
    return 0.0 if share is None else abs(share - 0.5)


def _effect(mean: float, deviation: float) -> float | None:
    return mean / deviation if deviation else None
