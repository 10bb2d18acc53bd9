"""Do a model's answers resemble each other? Distinct n-grams and self-BLEU, over equally long texts.

Longer texts repeat more words and match more of each other, whoever writes them. So what is compared is the
beginning of each answer, as far as the shortest answer of all models to the same prompt goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from palate.evaluate.style.features import tokens_of

__all__ = ["DIVERSITY_MEASURES", "Diversity", "DiversityMeasure", "compare_diversity"]

DiversityMeasure = Literal["distinct_1", "distinct_2", "distinct_3", "self_bleu"]

DIVERSITY_MEASURES: tuple[DiversityMeasure, ...] = get_args(DiversityMeasure)
"""distinct_n: different n-grams per n-gram (Li et al. 2016, arXiv:1510.03055), over all answers together.

self_bleu: the mean BLEU of each answer with all others as references (Zhu et al. 2018, arXiv:1802.01886), up
to four-grams or the answer's length, counts above one-grams smoothed by one (Lin and Och 2004), and without
a brevity penalty: among all the others there is hardly ever none as short."""

_MAX_PROMPTS = 200
_NUM_PERMUTATIONS = 400
_NUM_GROUPS = 10
_MAX_ORDER = 4


@dataclass(frozen=True, slots=True)
class Diversity:
    """One measure of one model."""

    value: float
    interval_95: tuple[float, float] | None
    """By jackknife over groups of prompts; None with fewer than three prompts."""
    permutation_p: float | None
    """How often, with the model's and the baseline's answers to each prompt swapped at random, the two differ
    as much in either direction. None for the baseline."""
    num_prompts: int


def compare_diversity(
    answers: Mapping[str, Sequence[Sequence[str]]], *, seed: int = 0
) -> dict[str, dict[DiversityMeasure, Diversity]]:
    """Every measure of every model, the first of which is the baseline.

    Args:
        answers: for each model the answers to each prompt; the prompts are the same, in the same order, and
            so is the number of answers. Of more than 200 prompts, 200 are drawn.
        seed: of draws and permutations.
    """
    generator = np.random.default_rng(seed)
    num_prompts = len(next(iter(answers.values())))
    drawn = np.arange(num_prompts)
    if num_prompts > _MAX_PROMPTS:
        drawn = np.sort(generator.permutation(num_prompts)[:_MAX_PROMPTS])
    texts = _equally_long([[own[place] for place in drawn.tolist()] for own in answers.values()])
    swaps = generator.integers(0, 2, size=(_NUM_PERMUTATIONS, len(drawn))).astype(bool)
    groups = np.arange(len(drawn)) % _NUM_GROUPS
    counts = _Counts.of(texts)
    found: dict[str, dict[DiversityMeasure, Diversity]] = {}
    for number, name in enumerate(answers):
        values = counts.measures(counts.rows(number))
        intervals = _jackknife(counts, number, groups, values)
        p = _permutation_p(counts, number, swaps) if number else None
        found[name] = {
            measure: Diversity(
                float(values[place]), intervals[place], None if p is None else p[place], len(drawn)
            )
            for place, measure in enumerate(DIVERSITY_MEASURES)
        }
    return found


_Tokens = list[str]
_Texts = list[list[list[_Tokens]]]
"""[models][prompts][samples], tokens."""


def _equally_long(answers: Sequence[Sequence[Sequence[str]]]) -> _Texts:
    tokens = [
        [[[token.casefold() for token in tokens_of(text)] for text in own] for own in model]
        for model in answers
    ]
    for prompt in range(len(tokens[0])):
        for sample in range(len(tokens[0][prompt])):
            shortest = min(len(model[prompt][sample]) for model in tokens)
            for model in tokens:
                del model[prompt][sample][shortest:]
    return tokens


@dataclass(frozen=True, slots=True)
class _Grams:
    """The n-grams of all texts of all models: which text has which, how often."""

    text_K: NDArray[np.int64]
    gram_K: NDArray[np.int64]
    count_K: NDArray[np.int64]
    num_grams: int


@dataclass(frozen=True, slots=True)
class _Counts:
    """All texts as counts. A text's number is (model, prompt, sample) read as digits."""

    grams: tuple[_Grams, ...]
    sizes_T: NDArray[np.int64]
    """Tokens of each text."""
    num_prompts: int
    num_samples: int

    @classmethod
    def of(cls, texts: _Texts) -> _Counts:
        flat = [text for model in texts for own in model for text in own]
        grams = tuple(_grams(flat, order) for order in range(1, _MAX_ORDER + 1))
        sizes = np.array([len(text) for text in flat], dtype=np.int64)
        return cls(grams, sizes, len(texts[0]), len(texts[0][0]))

    def rows(self, model: int, prompts: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """The numbers of a model's texts, of some prompts or of all."""
        prompts = np.arange(self.num_prompts) if prompts is None else prompts
        first = (model * self.num_prompts + prompts) * self.num_samples
        return np.asarray((first[:, None] + np.arange(self.num_samples)).ravel())

    def measures(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """[measures] of the texts with these numbers, in the order of `DIVERSITY_MEASURES`."""
        chosen = np.zeros(len(self.sizes_T), dtype=bool)
        chosen[rows] = True
        distinct = [_distinct(grams, chosen) for grams in self.grams[:3]]
        return np.array([*distinct, _self_bleu(self.grams, chosen, self.sizes_T)])


def _grams(texts: Sequence[_Tokens], order: int) -> _Grams:
    number: dict[tuple[str, ...], int] = {}
    text_of: list[int] = []
    gram_of: list[int] = []
    counts: list[int] = []
    for place, text in enumerate(texts):
        counted = Counter(tuple(text[start : start + order]) for start in range(len(text) - order + 1))
        for gram, count in counted.items():
            text_of.append(place)
            gram_of.append(number.setdefault(gram, len(number)))
            counts.append(count)
    return _Grams(
        np.array(text_of, dtype=np.int64),
        np.array(gram_of, dtype=np.int64),
        np.array(counts, dtype=np.int64),
        len(number),
    )


def _distinct(grams: _Grams, chosen: NDArray[np.bool_]) -> float:
    """Different n-grams per n-gram; 1 where there are none: nothing is repeated."""
    own = chosen[grams.text_K]
    total = int(grams.count_K[own].sum())
    different = int((np.bincount(grams.gram_K[own], minlength=grams.num_grams) > 0).sum())
    return different / total if total else 1.0


def _self_bleu(all_grams: Sequence[_Grams], chosen: NDArray[np.bool_], sizes_T: NDArray[np.int64]) -> float:
    """The mean over texts that are not empty; 0 where there are not two of them."""
    texts = chosen & (sizes_T > 0)
    if texts.sum() < 2:
        return 0.0
    logs = np.zeros(len(sizes_T))
    orders = np.minimum(np.maximum(sizes_T, 1), _MAX_ORDER)
    for order, grams in enumerate(all_grams, 1):
        matched = _matched(grams, chosen, len(sizes_T))
        total = np.maximum(sizes_T - order + 1, 0)
        smoothing = float(order > 1)
        with np.errstate(divide="ignore"):
            precision = np.log((matched + smoothing) / np.maximum(total + smoothing, 1))
        logs += np.where(order <= orders, precision, 0.0)
    return float(np.exp(logs[texts] / orders[texts]).mean())


def _matched(grams: _Grams, chosen: NDArray[np.bool_], num_texts: int) -> NDArray[np.float64]:
    """[texts]: of each chosen text's n-grams those that another chosen text has, as often as it has them."""
    own = chosen[grams.text_K]
    text, gram, count = grams.text_K[own], grams.gram_K[own], grams.count_K[own]
    most = np.zeros(grams.num_grams, dtype=np.int64)
    np.maximum.at(most, gram, count)
    is_most = count == most[gram]
    holders = np.bincount(gram[is_most], minlength=grams.num_grams)
    next_most = np.zeros(grams.num_grams, dtype=np.int64)
    np.maximum.at(next_most, gram[~is_most], count[~is_most])
    of_others = np.where(is_most & (holders[gram] == 1), next_most[gram], most[gram])
    matched = np.minimum(count, of_others).astype(np.float64)
    return np.bincount(text, weights=matched, minlength=num_texts).astype(np.float64)


def _jackknife(
    counts: _Counts, model: int, groups: NDArray[np.int64], values: NDArray[np.float64]
) -> list[tuple[float, float] | None]:
    """Leave out a group of prompts at a time; as many groups as prompts where there are few."""
    num_groups = int(groups.max()) + 1
    if num_groups < 3:
        return [None] * len(values)
    prompts = np.arange(len(groups))
    without = np.array(
        [counts.measures(counts.rows(model, prompts[groups != group])) for group in range(num_groups)]
    )
    spread = (num_groups - 1) / num_groups * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    half = float(t.ppf(0.975, num_groups - 1)) * np.sqrt(spread)
    return [
        (max(float(value - width), 0.0), min(float(value + width), 1.0))
        for value, width in zip(values, half, strict=True)
    ]


def _permutation_p(counts: _Counts, model: int, swaps: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[measures], two-sided, of the model against the first."""
    everything = np.arange(counts.num_prompts)

    def lead(swapped: NDArray[np.bool_]) -> NDArray[np.float64]:
        kept, moved = everything[~swapped], everything[swapped]
        own = np.concatenate([counts.rows(model, kept), counts.rows(0, moved)])
        other = np.concatenate([counts.rows(0, kept), counts.rows(model, moved)])
        return counts.measures(own) - counts.measures(other)

    observed = np.abs(lead(np.zeros(counts.num_prompts, dtype=bool)))
    as_far = sum((np.abs(lead(swap)) >= observed - 1e-12).astype(np.int64) for swap in swaps)
    return np.asarray((1 + as_far) / (1 + len(swaps)), dtype=np.float64)
