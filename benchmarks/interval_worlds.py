"""Worlds for `interval_coverage.py` beyond win rates: answers, divergences, benchmarks and rows.

They are made to look like the real thing: lengths and divergences are skewed, long texts may diverge more or
less than short ones, and words of answers follow Zipf's law, with phrases that a model is fond of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palate.data.audit.lengths import share_longer
from palate.data.audit.shares import clustered_share
from palate.evaluate.benchmarks.differences import Scores, difference_of, difference_of_group
from palate.evaluate.fears.diversity import Diversity, DiversityMeasure, compare_diversity
from palate.evaluate.paired import growth, mean
from palate.statistics.per_token import per_token, positive_per_token

__all__ = ["WORLDS_OF_ANSWERS", "WORLDS_OF_ROWS"]

Cell = Mapping[str, float]
Drawn = tuple[tuple[float, float] | None, float]
Figure = tuple[Callable[[], Iterator[Cell]], Callable[[Cell, np.random.Generator], Drawn]]

SIZES = (20, 50, 150, 500)


def _grid_of_divergences() -> Iterator[Cell]:
    for n, spread, with_length in product(SIZES, (0.5, 0.9, 1.2), (-0.3, 0.0, 0.3)):
        yield {"n": n, "spread": spread, "with_length": with_length, "shape": 0.0}
    for n, shape in product(SIZES, (0.5, 1.0)):
        yield {"n": n, "spread": 0.0, "with_length": 0.0, "shape": shape}


def _divergence(cell: Cell, draw: np.random.Generator) -> Drawn:
    """Prompts differ in their divergence per token, log-normally or (with a shape) as a gamma.

    `with_length` is the correlation of the logarithms of an answer's divergence per token and of its length.
    """
    n, spread, alike, shape = int(cell["n"]), cell["spread"], cell["with_length"], cell["shape"]
    own = draw.normal(size=n)
    log_length = alike * own + math.sqrt(1 - alike**2) * draw.normal(size=n)
    lengths = np.maximum(np.round(80 * np.exp(0.7 * log_length)), 1.0)
    means = draw.gamma(shape, 1 / shape, n) if shape else np.exp(spread * own - spread**2 / 2)
    sums = means * draw.gamma(lengths)
    # Weighed by tokens the mean of log-normal values moves by their covariance with lengths.
    truth = math.exp(alike * spread * 0.7)
    return positive_per_token(sums.tolist(), lengths.tolist())[1], truth


def _grid_of_likelihoods() -> Iterator[Cell]:
    for n, spread, skewed in product(SIZES, (0.3, 0.8), (-1, 0, 1)):
        yield {"n": n, "spread": spread, "skewed": skewed}


def _likelihood(cell: Cell, draw: np.random.Generator) -> Drawn:
    """Texts of very different length, whose nats per token scatter about 3; perplexity is their e^."""
    n = int(cell["n"])
    lengths = np.maximum(np.round(200 * np.exp(0.8 * draw.normal(size=n))), 1.0)
    off = draw.normal(size=n) if not cell["skewed"] else cell["skewed"] * (draw.exponential(size=n) - 1)
    means = 3 + cell["spread"] * off
    return per_token((means * lengths).tolist(), lengths.tolist())[1], 3.0


def _grid_of_lengths() -> Iterator[Cell]:
    for n, spread, answers in product(SIZES, (0.4, 0.8, 1.2), (1, 4)):
        yield {"n": n, "spread": spread, "answers": answers}


def _lengths(cell: Cell, draw: np.random.Generator) -> NDArray[np.float64]:
    """[2, prompts, answers] of mean 1: half the variance of a logarithm is the prompt's, in both models."""
    n, answers, spread = int(cell["n"]), int(cell["answers"]), cell["spread"]
    common, own = draw.normal(size=(1, n, 1)), draw.normal(size=(2, n, answers))
    return np.asarray(np.exp(spread * (common + own) / math.sqrt(2) - spread**2 / 2))


def _mean_length(cell: Cell, draw: np.random.Generator) -> Drawn:
    return mean(_lengths(cell, draw)[0].tolist()).interval_95, 1.0


def _growth(cell: Cell, draw: np.random.Generator) -> Drawn:
    own, base = _lengths(cell, draw)
    found = growth((1.3 * own).tolist(), base.tolist())
    return found.interval_95 if found is not None else None, 1.3


def _grid_of_texts() -> Iterator[Cell]:
    for n, (answers, fond) in product((20, 50, 150), ((1, 0.0), (1, 0.4), (3, 0.3))):
        yield {"n": n, "answers": answers, "fond": fond}


_NUM_WORDS = 3000
_ZIPF = np.cumsum(np.arange(1, _NUM_WORDS + 1) ** -1.1) / (np.arange(1, _NUM_WORDS + 1) ** -1.1).sum()
_PHRASE = [f"fond{place}" for place in range(11)]
_NUM_FOR_TRUTH = 200


def _texts(cell: Cell, draw: np.random.Generator) -> list[list[str]]:
    """Words by Zipf's law, a third of them from a dozen of the prompt's own; `fond` begin with one phrase."""
    found = []
    for _ in range(int(cell["n"])):
        topic = draw.integers(0, _NUM_WORDS, 12)
        own = []
        for _ in range(int(cell["answers"])):
            words = np.searchsorted(_ZIPF, draw.random(max(int(40 * math.exp(0.5 * draw.normal())), 1)))
            of_topic = draw.random(len(words)) < 1 / 3
            words[of_topic] = topic[draw.integers(0, 12, int(of_topic.sum()))]
            begins = _PHRASE if draw.random() < cell["fond"] else []
            own.append(" ".join([*begins, *(f"w{word}" for word in words.tolist())]))
        found.append(own)
    return found


def _diversity(cell: Cell, draw: np.random.Generator) -> Mapping[DiversityMeasure, Diversity]:
    return compare_diversity({"model": _texts(cell, draw)})["model"]


@cache
def _true_diversity(cell: tuple[tuple[str, float], ...]) -> Mapping[DiversityMeasure, float]:
    """What is estimated is the mean over draws of as many prompts: other numbers have other means."""
    draw = np.random.default_rng(17)
    drawn = [_diversity(dict(cell), draw) for _ in range(_NUM_FOR_TRUTH)]
    return {measure: float(np.mean([one[measure].value for one in drawn])) for measure in drawn[0]}


def _of_measure(measure: DiversityMeasure) -> Callable[[Cell, np.random.Generator], Drawn]:
    def draw_one(cell: Cell, draw: np.random.Generator) -> Drawn:
        found = _diversity(cell, draw)[measure].interval_95
        return found, _true_diversity(tuple(cell.items()))[measure]

    return draw_one


def _grid_of_questions() -> Iterator[Cell]:
    for n, rate, changed in product(SIZES, (0.2, 0.5, 0.9), (0.05, 0.3, 1.0)):
        yield {"n": n, "rate": rate, "changed": changed}


def _grid_of_soft_questions() -> Iterator[Cell]:
    """Where one question in twenty changed, twenty tell of none or one: no interval knows how far that is."""
    for n, rate, changed in product(SIZES, (0.2, 0.5, 0.9), (0.3, 1.0)):
        yield {"n": n, "rate": rate, "changed": changed}


def _benchmark(cell: Cell, draw: np.random.Generator) -> Drawn:
    """Questions are right or wrong; the tuned model answers some anew, and is then right in four of ten."""
    n = int(cell["n"])
    base = draw.random(n) < cell["rate"]
    tuned = np.where(draw.random(n) < cell["changed"], draw.random(n) < 0.4, base)
    truth = cell["changed"] * (0.4 - cell["rate"])
    return _difference(base.astype(float), tuned.astype(float)), truth


def _soft_benchmark(cell: Cell, draw: np.random.Generator) -> Drawn:
    """Scores between 0 and 1, such as overlap with a reference; some are 0 in one of the two models."""
    n = int(cell["n"])
    base = draw.beta(4 * cell["rate"], 4 * (1 - cell["rate"]), n)
    tuned = np.where(draw.random(n) < cell["changed"], 0.9 * base * draw.random(n), base)
    return _difference(base, tuned), -cell["changed"] * 0.55 * cell["rate"]


def _perplexity_benchmark(cell: Cell, draw: np.random.Generator) -> Drawn:
    """A metric of all questions together: nats and numbers of words; the tuned model has `changed` more."""
    n = int(cell["n"])
    words = np.maximum(np.round(60 * np.exp(0.6 * draw.normal(size=n))), 1.0)
    nats = 3 + cell["rate"] * draw.normal(size=n)
    more = cell["changed"] * draw.gamma(2.0, 0.5, n)
    both = [list(zip((own * words).tolist(), words.tolist(), strict=True)) for own in (nats, nats + more)]
    sides = [Scores("task", "ppl", _perplexity(own), _named(own), _perplexity) for own in both]
    return difference_of("tuned", *sides).interval_95, math.exp(3 + cell["changed"]) - math.exp(3)


def _benchmark_group(cell: Cell, draw: np.random.Generator) -> Drawn:
    """Three tasks, of half as many, as many and half as many more questions; the harness takes their mean."""
    rows, all_base, all_tuned = [], [], []
    for place in range(3):
        n = int(cell["n"]) * (place + 1) // 2
        base = draw.random(n) < cell["rate"]
        tuned = np.where(draw.random(n) < cell["changed"], draw.random(n) < 0.4, base)
        sides = [
            Scores(f"task{place}", "acc", of.mean(), _named(of.astype(float).tolist()))
            for of in (base, tuned)
        ]
        rows.append(difference_of("tuned", *sides))
        all_base += base.tolist()
        all_tuned += tuned.tolist()
    before, after = (Scores("group", "acc", float(np.mean(of)), {}) for of in (all_base, all_tuned))
    return difference_of_group("tuned", before, after, rows).interval_95, cell["changed"] * (
        0.4 - cell["rate"]
    )


def _perplexity(scores: Sequence[tuple[float, float]]) -> float:
    return math.exp(sum(nats for nats, _ in scores) / sum(words for _, words in scores))


def _difference(base: NDArray[np.float64], tuned: NDArray[np.float64]) -> tuple[float, float] | None:
    sides = [Scores("task", "acc", float(of.mean()), _named(of.tolist())) for of in (base, tuned)]
    return difference_of("tuned", *sides).interval_95


def _named(scores: Sequence[Any]) -> dict[str, Any]:
    return {str(place): score for place, score in enumerate(scores)}


def _grid_of_rows() -> Iterator[Cell]:
    for n, rate, (per_prompt, alike) in product(
        SIZES, (0.05, 0.2, 0.5, 0.8, 0.95), ((1, 0.0), (2, 0.5), (5, 0.3), (5, 1.0))
    ):
        yield {"n": n, "rate": rate, "per_prompt": per_prompt, "alike": alike}


def _rows(cell: Cell, draw: np.random.Generator) -> Drawn:
    n, per_prompt, alike, rate = int(cell["n"]), int(cell["per_prompt"]), cell["alike"], cell["rate"]
    rates = np.full(n, rate)
    if alike >= 1:
        rates = (draw.random(n) < rate).astype(float)
    elif alike > 0:
        rates = draw.beta(rate * (1 / alike - 1), (1 - rate) * (1 / alike - 1), n)
    right = draw.random(n * per_prompt) < np.repeat(rates, per_prompt)
    found = clustered_share(right, np.repeat(np.arange(n), per_prompt))
    return (found.lower, found.upper) if found is not None else None, rate


def _grid_of_labels() -> Iterator[Cell]:
    for n, liked, shift in product((50, 150, 500), (0.4, 0.5), (0.0, 0.5, 1.0, 2.0)):
        yield {"n": n, "liked": liked, "shift": shift}


def _labels(cell: Cell, draw: np.random.Generator) -> Drawn:
    """Log-lengths of the liked are `shift` deviations above those of the others."""
    num = round(cell["liked"] * cell["n"])
    liked, other = draw.normal(cell["shift"], 1, num), draw.normal(0, 1, int(cell["n"]) - num)
    found = share_longer(np.exp(liked), np.exp(other))
    truth = 0.5 * (1 + math.erf(cell["shift"] / 2))
    return (found.lower, found.upper), truth


WORLDS_OF_ANSWERS: dict[str, Figure] = {
    "kl_per_token": (_grid_of_divergences, _divergence),
    "perplexity": (_grid_of_likelihoods, _likelihood),
    "mean_length": (_grid_of_lengths, _mean_length),
    "growth": (_grid_of_lengths, _growth),
    "distinct_1": (_grid_of_texts, _of_measure("distinct_1")),
    "distinct_2": (_grid_of_texts, _of_measure("distinct_2")),
    "distinct_3": (_grid_of_texts, _of_measure("distinct_3")),
    "self_bleu": (_grid_of_texts, _of_measure("self_bleu")),
    "benchmark": (_grid_of_questions, _benchmark),
    "soft_benchmark": (_grid_of_soft_questions, _soft_benchmark),
    "benchmark_group": (_grid_of_questions, _benchmark_group),
    "perplexity_benchmark": (_grid_of_soft_questions, _perplexity_benchmark),
}
"""What `palate compare` prints of answers, drift and benchmarks."""

WORLDS_OF_ROWS: dict[str, Figure] = {
    "audited_share": (_grid_of_rows, _rows),
    "audited_labels": (_grid_of_labels, _labels),
}
"""What `palate data audit` prints."""
