"""How often Palate's 95% intervals hold the truth, over a grid of truths; a table, or one JSON object a line.

Each cell draws data from a world whose truth is known, and asks the function that commands print from. An
interval that a function refuses to give is no claim: it is counted apart.

    python benchmarks/interval_coverage.py --times 1000
    python benchmarks/interval_coverage.py win_rate kappa --json
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interval_worlds import WORLDS_OF_ANSWERS, WORLDS_OF_ROWS
from palate.statistics.agreement import cohens_kappa, fleiss_kappa, krippendorff_alpha
from palate.statistics.bradley_terry import Outcome, Ranking, rank
from palate.statistics.corrected import AgreementCorrected, agreement_corrected_win_rate
from palate.statistics.judged import judged_win_rate
from palate.statistics.length_control import length_controlled_win_rate
from palate.statistics.logistic import slope
from palate.statistics.win_rates import win_rate

__all__ = ["FIGURES", "Cell", "Covered", "covered"]

Cell = Mapping[str, float]
Interval = tuple[float, float] | None
Drawn = tuple[Interval, float]
"""An interval, and the truth that it ought to hold."""

SIZES = (20, 50, 150, 500)
"""Prompts: what is independent of each other."""
RATES = (0.05, 0.2, 0.5, 0.8, 0.95)
CLUSTERS = ((1, 0.0), (2, 0.5), (5, 0.3), (5, 1.0))
"""Comparisons of a prompt, and how alike they are: the share of the variance that lies between prompts."""


@dataclass(frozen=True, slots=True)
class Covered:
    """What became of one cell."""

    figure: str
    cell: Cell
    num_intervals: int
    num_refused: int
    coverage: float
    mean_width: float


def _rates_of_prompts(
    rate: float, alike: float, num_prompts: int, draw: np.random.Generator
) -> NDArray[np.float64]:
    if alike <= 0:
        return np.full(num_prompts, rate)
    if alike >= 1:
        return (draw.random(num_prompts) < rate).astype(float)
    spread = 1 / alike - 1
    return draw.beta(rate * spread, (1 - rate) * spread, num_prompts)


def _comparisons(cell: Cell, draw: np.random.Generator) -> tuple[NDArray[np.float64], list[int]]:
    """Scores of 1, 0.5 or 0 with mean `rate`, and the prompt of each."""
    per_prompt = int(cell["per_prompt"])
    num_prompts = int(cell["n"])
    decided = (cell["rate"] - cell["ties"] / 2) / (1 - cell["ties"])
    rates = np.repeat(_rates_of_prompts(decided, cell["alike"], num_prompts, draw), per_prompt)
    wins = (draw.random(len(rates)) < rates).astype(float)
    scores = np.where(draw.random(len(rates)) < cell["ties"], 0.5, wins)
    return scores, np.repeat(np.arange(num_prompts), per_prompt).tolist()


def _grid_of_comparisons() -> Iterator[Cell]:
    for n, rate, ties, (per_prompt, alike) in product(SIZES, RATES, (0.0, 0.3), CLUSTERS):
        if ties / 2 <= min(rate, 1 - rate):
            yield {"n": n, "rate": rate, "ties": ties, "per_prompt": per_prompt, "alike": alike}


def _win_rate(cell: Cell, draw: np.random.Generator) -> Drawn:
    scores, prompts = _comparisons(cell, draw)
    names = {1.0: "win", 0.5: "tie", 0.0: "loss"}
    found = win_rate([names[score] for score in scores.tolist()], prompts)  # type: ignore[misc]
    return found.interval_95, cell["rate"]


def _bootstrap(cell: Cell, draw: np.random.Generator) -> Drawn:
    scores, prompts = _comparisons(cell, draw)
    return judged_win_rate(scores.tolist(), prompts).bootstrap_interval_95, cell["rate"]


def _grid_of_soft() -> Iterator[Cell]:
    for n, rate, spread, (per_prompt, alike) in product(SIZES, RATES, (0.2, 0.6, 0.95), CLUSTERS):
        yield {"n": n, "rate": rate, "spread": spread, "per_prompt": per_prompt, "alike": alike}


def _soft(cell: Cell, draw: np.random.Generator) -> Drawn:
    """Probabilities, not verdicts: `spread` is their variance, as a share of what 0 and 1 would have."""
    per_prompt = int(cell["per_prompt"])
    num_prompts = int(cell["n"])
    size = 1 / cell["spread"] - 1
    of_prompts = draw.beta(cell["rate"] * size, (1 - cell["rate"]) * size, num_prompts)
    own = draw.beta(cell["rate"] * size, (1 - cell["rate"]) * size, (num_prompts, per_prompt))
    # A score is its prompt's with the chance `alike`: the mean is the rate whatever that chance.
    same = draw.random((num_prompts, per_prompt)) < math.sqrt(cell["alike"])
    scores = np.where(same, of_prompts[:, None], own).ravel()
    prompts = np.repeat(np.arange(num_prompts), per_prompt).tolist()
    return judged_win_rate(np.clip(scores, 0, 1).tolist(), prompts).interval_95, cell["rate"]


def _grid_of_lengths() -> Iterator[Cell]:
    for n, rate, weight, shift, (per_prompt, alike) in product(
        SIZES, RATES, (0.0, 0.5), (0.0, 0.4), ((1, 0.0), (5, 0.3))
    ):
        yield {
            "n": n, "rate": rate, "weight": weight, "shift": shift, "per_prompt": per_prompt, "alike": alike,
        }  # fmt: skip


def _length_controlled(cell: Cell, draw: np.random.Generator) -> Drawn:
    """Prompts differ in the rate at equal lengths, whose mean is the truth; lengths add log-odds."""
    per_prompt = int(cell["per_prompt"])
    num_prompts = int(cell["n"])
    rates = np.repeat(_rates_of_prompts(cell["rate"], cell["alike"], num_prompts, draw), per_prompt)
    lengths = draw.normal(cell["shift"], 1.0, len(rates))
    rates = np.clip(rates, 1e-9, 1 - 1e-9)
    odds = np.log(rates / (1 - rates)) + cell["weight"] * np.tanh(lengths)
    scores = (draw.random(len(rates)) < 1 / (1 + np.exp(-odds))).astype(float)
    prompts = np.repeat(np.arange(num_prompts), per_prompt).tolist()
    return length_controlled_win_rate(scores, lengths, prompts).interval_95, cell["rate"]


def _grid_of_corrected() -> Iterator[Cell]:
    alike = ((1, 0.0, 0.0), (1, 0.0, 0.3), (5, 0.3, 0.3))
    for n, votes, rate, accuracy, (per_prompt, likeness, ties) in product(
        (50, 200, 500), (30, 50), (0.05, 0.3, 0.5, 0.8, 0.95), (0.7, 0.85, 0.95), alike
    ):
        yield {
            "n": n, "num_votes": votes, "rate": rate, "accuracy": accuracy,
            "per_prompt": per_prompt, "alike": likeness, "ties": ties,
        }  # fmt: skip


def _corrected(cell: Cell, draw: np.random.Generator) -> Drawn:
    return _with_votes(cell, draw).interval_95, cell["rate"]


def _accuracy(cell: Cell, draw: np.random.Generator) -> Drawn:
    """A tie of the judge's is half right."""
    truth = cell["accuracy"] * (1 - cell["ties"]) + cell["ties"] / 2
    return _with_votes(cell, draw).accuracy_interval_95, truth


def _with_votes(cell: Cell, draw: np.random.Generator) -> AgreementCorrected:
    """People voted on one comparison of each of the first prompts; wins and errors are alike in a prompt."""
    num_prompts, per_prompt = int(cell["n"]), int(cell["per_prompt"])
    num = num_prompts * per_prompt
    win, right = (
        draw.random(num) < np.repeat(_rates_of_prompts(share, cell["alike"], num_prompts, draw), per_prompt)
        for share in (cell["rate"], cell["accuracy"])
    )
    is_tie = draw.random(num) < cell["ties"]
    scores = np.where(is_tie, 0.5, (win == right).astype(float))
    prompts = np.repeat(np.arange(num_prompts), per_prompt)
    voted = slice(0, int(cell["num_votes"]) * per_prompt, per_prompt)
    return agreement_corrected_win_rate(
        scores.tolist(),
        prompts.tolist(),
        np.where(is_tie, 0.5, right.astype(float))[voted].tolist(),
        prompts[voted].tolist(),
    )


def _grid_of_raters() -> Iterator[Cell]:
    for n, share, errs, (per_prompt, alike) in product(
        SIZES, (0.5, 0.8), (0.05, 0.2, 0.4), ((1, 0.0), (5, 0.5))
    ):
        yield {"n": n, "share": share, "errs": errs, "per_prompt": per_prompt, "alike": alike}


def _two_raters(cell: Cell, draw: np.random.Generator) -> tuple[list[str], list[str], list[int], float]:
    """Both see the same true label and err independently; the true kappa and alpha, which are the same."""
    per_prompt, errs = int(cell["per_prompt"]), cell["errs"]
    num_prompts = int(cell["n"])
    rates = np.repeat(_rates_of_prompts(cell["share"], cell["alike"], num_prompts, draw), per_prompt)
    truth = draw.random(len(rates)) < rates
    labels = np.array(["b", "a"])
    first, second = (labels[(truth ^ (draw.random(len(rates)) < errs)).astype(int)].tolist() for _ in "12")
    prompts = np.repeat(np.arange(num_prompts), per_prompt).tolist()
    return first, second, prompts, _true_kappa(cell)


def _kappa(cell: Cell, draw: np.random.Generator) -> Drawn:
    first, second, prompts, truth = _two_raters(cell, draw)
    found = cohens_kappa(first, second, clusters=prompts, seed=int(draw.integers(2**31)), num_resamples=1000)
    return found.interval_95, truth


def _alpha(cell: Cell, draw: np.random.Generator) -> Drawn:
    first, second, prompts, truth = _two_raters(cell, draw)
    ratings: dict[Hashable, Mapping[Hashable, Hashable]] = {
        "one": dict(enumerate(first)), "two": dict(enumerate(second)),
    }  # fmt: skip
    found = krippendorff_alpha(
        ratings,
        clusters=dict(enumerate(prompts)),
        seed=int(draw.integers(2**31)),
        num_resamples=1000,
    )
    return found.interval_95, truth


def _fleiss(cell: Cell, draw: np.random.Generator) -> Drawn:
    """Three raters who err independently: what is true of two of them is true of the panel."""
    per_prompt, errs, num_prompts = int(cell["per_prompt"]), cell["errs"], int(cell["n"])
    rates = np.repeat(_rates_of_prompts(cell["share"], cell["alike"], num_prompts, draw), per_prompt)
    truth = draw.random(len(rates)) < rates
    said = truth[:, None] ^ (draw.random((len(rates), 3)) < errs)
    counts: list[Mapping[Hashable, int]] = [{"a": int(num), "b": 3 - int(num)} for num in said.sum(axis=1)]
    prompts = np.repeat(np.arange(num_prompts), per_prompt).tolist()
    found = fleiss_kappa(counts, clusters=prompts, seed=int(draw.integers(2**31)), num_resamples=1000)
    return found.interval_95, _true_kappa(cell)


def _true_kappa(cell: Cell) -> float:
    share, errs = cell["share"], cell["errs"]
    seen = share * (1 - errs) + (1 - share) * errs
    agree, chance = (1 - errs) ** 2 + errs**2, seen**2 + (1 - seen) ** 2
    return (agree - chance) / (1 - chance)


def _grid_of_players() -> Iterator[Cell]:
    for n, rate, (per_prompt, alike) in product(SIZES, (0.5, 0.7, 0.9), ((1, 0.0), (3, 0.5))):
        yield {"n": n, "rate": rate, "per_prompt": per_prompt, "alike": alike}


def _lead(cell: Cell, draw: np.random.Generator) -> Drawn:
    return _ranked(cell, draw).lead("x", "z").interval_95, 2 * _odds(cell)


def _strength(cell: Cell, draw: np.random.Generator) -> Drawn:
    """Of the best of the three; the mean of all is 0."""
    ranking = _ranked(cell, draw)
    return ranking.intervals_95[ranking.names.index("x")], _odds(cell)


def _odds(cell: Cell) -> float:
    return math.log(cell["rate"] / (1 - cell["rate"]))


def _ranked(cell: Cell, draw: np.random.Generator) -> Ranking:
    """Three models in a row, each beating the next at `rate`; n prompts, on which all or some two meet.

    What is alike among the comparisons of a prompt is who was lucky: a common draw decides them.
    """
    strengths = {"x": _odds(cell), "y": 0.0, "z": -_odds(cell)}
    pairs = [("x", "y"), ("y", "z"), ("x", "z")]
    outcomes = []
    for prompt in range(int(cell["n"])):
        common = draw.random()
        met = pairs if cell["per_prompt"] == 3 else [pairs[prompt % 3]]
        for a, b in met:
            luck = common if draw.random() < cell["alike"] else draw.random()
            won = luck < 1 / (1 + math.exp(strengths[b] - strengths[a]))
            outcomes.append(Outcome(a, b, float(won), prompt))
    return rank(outcomes, seed=int(draw.integers(2**31)), num_resamples=400)


def _grid_of_slopes() -> Iterator[Cell]:
    for n, rate, weight, (per_prompt, alike) in product(
        SIZES, (0.2, 0.5, 0.8), (0.0, 0.7), ((1, 0.0), (5, 0.3))
    ):
        yield {"n": n, "rate": rate, "weight": weight, "per_prompt": per_prompt, "alike": alike}


def _slope(cell: Cell, draw: np.random.Generator) -> Drawn:
    """Log-odds of one standard deviation of x, which is alike within a prompt; outcomes, given x, are not."""
    per_prompt = int(cell["per_prompt"])
    num_prompts = int(cell["n"])
    shared = np.repeat(draw.normal(size=num_prompts), per_prompt)
    x = math.sqrt(cell["alike"]) * shared + math.sqrt(1 - cell["alike"]) * draw.normal(size=len(shared))
    odds = math.log(cell["rate"] / (1 - cell["rate"])) + cell["weight"] * x
    y = (draw.random(len(x)) < 1 / (1 + np.exp(-odds))).astype(float)
    prompts = np.repeat(np.arange(num_prompts), per_prompt).tolist()
    return slope(x, y, prompts).interval_95, cell["weight"] * float(x.std())


Figure = tuple[Callable[[], Iterator[Cell]], Callable[[Cell, np.random.Generator], Drawn]]

FIGURES: dict[str, Figure] = {
    "win_rate": (_grid_of_comparisons, _win_rate),
    "bootstrap": (_grid_of_comparisons, _bootstrap),
    "soft": (_grid_of_soft, _soft),
    "length_controlled": (_grid_of_lengths, _length_controlled),
    "agreement_corrected": (_grid_of_corrected, _corrected),
    "judge_accuracy": (_grid_of_corrected, _accuracy),
    "kappa": (_grid_of_raters, _kappa),
    "alpha": (_grid_of_raters, _alpha),
    "fleiss": (_grid_of_raters, _fleiss),
    "lead": (_grid_of_players, _lead),
    "strength": (_grid_of_players, _strength),
    "slope": (_grid_of_slopes, _slope),
    **WORLDS_OF_ANSWERS,
    **WORLDS_OF_ROWS,
}
"""Each printed interval: the cells it is tried in, and one draw."""


def covered(figure: str, cell: Cell, times: int, *, seed: int = 0) -> Covered:
    """Draw `times` data sets in one cell; the same seed gives the same."""
    draw = np.random.default_rng([seed, *(round(1000 * value) % 2**32 for value in cell.values())])
    drawn = [FIGURES[figure][1](cell, draw) for _ in range(times)]
    given = [(interval, truth) for interval, truth in drawn if interval is not None]
    held = [low - 1e-12 <= truth <= high + 1e-12 for (low, high), truth in given]
    widths = [high - low for (low, high), _ in given]
    return Covered(
        figure,
        cell,
        len(given),
        times - len(given),
        float(np.mean(held)) if held else math.nan,
        float(np.mean(widths)) if widths else math.nan,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}; all of them")
    parser.add_argument("--times", type=int, default=1000, help="data sets drawn in each cell")
    parser.add_argument("--again", type=int, default=0, help="and so many, anew, in the lowest cell")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="a line for each cell, and one for each figure")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.figures if name not in FIGURES]
    if unknown or arguments.times < 1:
        parser.error(f"no such figure: {', '.join(unknown)}" if unknown else "--times takes 1 or more")
    for name in arguments.figures or FIGURES:
        found = []
        for cell in FIGURES[name][0]():
            found.append(covered(name, cell, arguments.times, seed=arguments.seed))
            _print(_as_dict(found[-1]), as_json=arguments.json)
        _print(_summary(found, arguments.again, arguments.seed), as_json=arguments.json)
    return 0


def _summary(found: Sequence[Covered], again: int, seed: int) -> dict[str, Any]:
    shares = np.array([one.coverage for one in found])
    lowest = found[int(np.nanargmin(shares))]
    summary = {
        "figure": lowest.figure,
        "num_cells": len(found),
        "mean": round(float(np.nanmean(shares)), 4),
        "lowest": round(float(np.nanmin(shares)), 4),
        "lowest_cell": dict(lowest.cell),
        "num_refused": sum(one.num_refused for one in found),
    }
    if again:  # the lowest of a hundred cells is lower than its own coverage, by the draws alone
        anew = covered(lowest.figure, lowest.cell, again, seed=seed + 1)
        summary["lowest_again"] = round(anew.coverage, 4)
    return summary


def _as_dict(one: Covered) -> dict[str, Any]:
    figures = {"coverage": round(one.coverage, 4), "mean_width": round(one.mean_width, 4)}
    return {"figure": one.figure, **one.cell, **figures, "num_refused": one.num_refused}


def _print(row: Mapping[str, Any], *, as_json: bool) -> None:
    line = json.dumps(row) if as_json else "  ".join(f"{name} {value}" for name, value in row.items())
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
