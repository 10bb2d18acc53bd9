"""Whether a distance is more than chance: texts are mixed and dealt again, whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from palate.evaluate.style.counting import Counted
from palate.evaluate.style.distances import burrows_delta, jensen_shannon, yardstick_of
from palate.evaluate.style.features import Family
from palate.evaluate.style.log_odds import log_odds_of

__all__ = ["MEASURES", "Closer", "Distance", "Draws", "Measure", "closer_of", "distance_of", "telling_noise"]

Measure = Literal["words", "punctuation", "shapes", "delta"]

MEASURES: tuple[Measure, ...] = ("words", "punctuation", "shapes", "delta")
"""Jensen-Shannon distances of three kinds of features, and Burrows's delta of the commonest words."""

Floats = NDArray[np.float64]
_ROWS_AT_ONCE = 64
_NUM_DEALS_FOR_WORDS = 200


@dataclass(frozen=True, slots=True)
class Distance:
    """One measure of one model's answers against the target."""

    value: float
    """The mean over random draws of `num_units` answers and as many pieces of the target."""
    noise_floor: float
    """The same between two such draws of the target itself: what no model can be below, but by chance."""
    noise_floor_95: float
    """Of those, what one in twenty is above."""
    permutation_p: float
    """How often answers and target, mixed and dealt again, are at least as far apart: uniform where the
    answers could have been written by the target's author."""
    num_units: int


@dataclass(frozen=True, slots=True)
class Closer:
    """How much closer to the target one model is than another, by one measure."""

    difference: float
    """The other's distance less its own, over all answers and pieces: positive where it is closer."""
    p: float
    """How often the distances differ as much, either way, when the two answers to a prompt are swapped at
    random."""


class Draws:
    """The same random draws for every measure and model, so that figures can be compared."""

    def __init__(self, num_prompts: int, num_pieces: int, num: int, generator: np.random.Generator) -> None:
        self.num_prompts, self.num_pieces, self.num = num_prompts, num_pieces, num
        self.num_units = min(num_prompts, num_pieces // 2)
        self.prompts = _weights(num, num_prompts, self.num_units, generator)
        halves = np.array([generator.permutation(num_pieces) for _ in range(num)])
        self.pieces = _rows_with(halves[:, : self.num_units], num_pieces)
        self.other_pieces = _rows_with(halves[:, self.num_units : 2 * self.num_units], num_pieces)
        pool = num_prompts + num_pieces
        self.dealt = _weights(num, pool, num_prompts, generator)
        self.swaps = generator.integers(0, 2, size=(num, num_prompts)).astype(np.float64)


def _weights(num: int, size: int, chosen: int, generator: np.random.Generator) -> Floats:
    """`num` rows, in each `chosen` of `size` places are 1."""
    return _rows_with(np.array([generator.permutation(size)[:chosen] for _ in range(num)]), size)


def _rows_with(places: NDArray[np.int64], size: int) -> Floats:
    rows = np.zeros((len(places), size))
    np.put_along_axis(rows, places, 1.0, axis=1)
    return rows


def distance_of(
    counts: Mapping[Family, Counted], measure: Measure, model: int, draws: Draws
) -> Distance | None:
    """None where there is nothing to measure: no word is in the answers, or nothing varies."""
    own, target = _of(counts, measure).drawn[model], _of(counts, measure).target
    far = _Ruler(counts, measure)
    pool = vstack([own, target], format="csr")
    is_answer = np.concatenate([np.ones(draws.num_prompts), np.zeros(draws.num_pieces)])[None, :]
    observed = far.between(is_answer, pool, 1 - is_answer, pool)[0]
    value = far.between(draws.prompts, own, draws.pieces, target)
    floor = far.between(draws.pieces, target, draws.other_pieces, target)
    if np.isnan(observed) or np.isnan(value).any() or np.isnan(floor).any():
        return None
    mixed = far.between(draws.dealt, pool, 1 - draws.dealt, pool)
    p = _share_at_least(mixed, observed)
    return Distance(
        float(value.mean()), float(floor.mean()), float(np.quantile(floor, 0.95)), p, draws.num_units
    )


def closer_of(
    counts: Mapping[Family, Counted], measure: Measure, model: int, base: int, draws: Draws
) -> Closer | None:
    """By swapping the two models' answers to each prompt; None where there is nothing to measure."""
    first, second = _of(counts, measure).models[base], _of(counts, measure).models[model]
    target = _of(counts, measure).target
    far = _Ruler(counts, measure)
    both = vstack([first, second], format="csr")

    def lead(swaps: Floats) -> Floats:
        all_pieces = np.ones((len(swaps), draws.num_pieces))
        of_base = far.between(np.hstack([1 - swaps, swaps]), both, all_pieces, target)
        return of_base - far.between(np.hstack([swaps, 1 - swaps]), both, all_pieces, target)

    observed = float(lead(np.zeros((1, draws.num_prompts)))[0])
    if np.isnan(observed):
        return None
    return Closer(observed, _share_at_least(np.abs(lead(draws.swaps)), abs(observed)))


def telling_noise(counts: Counted, model: int, draws: Draws) -> float:
    """The |z| that one in twenty deals of answers and target reaches with any word at all.

    A word that is in one text often is as telling by its z as one that is in every text now and then. Dealing
    whole texts tells them apart, and the largest of thousands of words is what chance has to be beaten by.
    """
    pool = vstack([counts.models[model], counts.target], format="csr")
    total = np.asarray(pool.sum(axis=0), dtype=np.float64)
    largest = []
    for start in range(0, min(draws.num, _NUM_DEALS_FOR_WORDS), _ROWS_AT_ONCE):
        dealt = draws.dealt[start : min(start + _ROWS_AT_ONCE, _NUM_DEALS_FOR_WORDS)]
        first = dealt @ pool
        _, z = log_odds_of(first, np.maximum(total - first, 0.0), total)
        largest.append(np.nan_to_num(np.abs(z)).max(axis=1, initial=0.0))
    return float(np.quantile(np.concatenate(largest), 0.95))


def _share_at_least(dealt: Floats, observed: float) -> float:
    # Written as what is not below: a deal that cannot be measured speaks for chance.
    return (1 + int((~(dealt < observed - 1e-12)).sum())) / (1 + len(dealt))


class _Ruler:
    """One measure between sums of rows."""

    def __init__(self, counts: Mapping[Family, Counted], measure: Measure) -> None:
        self._yardstick = None
        if measure == "delta":
            # Read off all texts alike: read off the target alone it would fit the target better than any
            # mixture of target and answers, and p-values would be too small.
            of_words = _of(counts, measure)
            self._yardstick = yardstick_of(vstack([*of_words.drawn, of_words.target], format="csr"))

    def between(self, rows_RU: Floats, units_UV: csr_array, others_RW: Floats, units_WV: csr_array) -> Floats:
        """The distance of each row's chosen units from the other chosen units."""
        found = []
        for start in range(0, len(rows_RU), _ROWS_AT_ONCE):  # a row is as wide as the vocabulary
            part = slice(start, start + _ROWS_AT_ONCE)
            first, second = rows_RU[part] @ units_UV, others_RW[part] @ units_WV
            found.append(
                jensen_shannon(first, second)
                if self._yardstick is None
                else burrows_delta(first, second, self._yardstick)
            )
        return np.concatenate(found)


def _of(counts: Mapping[Family, Counted], measure: Measure) -> Counted:
    return counts["words" if measure == "delta" else measure]
