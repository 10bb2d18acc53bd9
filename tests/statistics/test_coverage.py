"""Do the printed 95% intervals hold the truth? Over a grid of truths, ties and clusters, by simulation.

`benchmarks/interval_coverage.py` draws the data and prints the whole grid; docs/statistics.md has figures of
it. Here a few cells are drawn each time; the files beside this one draw all of them on a thorough run. Draws
are seeded: a bound is missed by a change of the code and not by chance, and bounds leave room for the draws'
own error.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest


def plain(
    n: int, rate: float, ties: float = 0.0, per_prompt: int = 1, alike: float = 0.0
) -> dict[str, float]:
    return {"n": n, "rate": rate, "ties": ties, "per_prompt": per_prompt, "alike": alike}


def raters(n: int, share: float, errs: float, per_prompt: int = 1, alike: float = 0.0) -> dict[str, float]:
    return {"n": n, "share": share, "errs": errs, "per_prompt": per_prompt, "alike": alike}


def lengths(n: int, rate: float, per_prompt: int = 1, alike: float = 0.0) -> dict[str, float]:
    return {
        "n": n, "rate": rate, "weight": 0.5, "shift": 0.4, "per_prompt": per_prompt, "alike": alike,
    }  # fmt: skip


def judged(
    n: int,
    num_votes: int,
    rate: float,
    accuracy: float,
    per_prompt: int = 1,
    alike: float = 0.0,
    ties: float = 0.0,
) -> dict[str, float]:
    return {
        "n": n, "num_votes": num_votes, "rate": rate, "accuracy": accuracy,
        "per_prompt": per_prompt, "alike": alike, "ties": ties,
    }  # fmt: skip


# The cells in which earlier forms of the intervals failed, and one in the middle.
QUICK: list[tuple[str, dict[str, float], int]] = [
    ("win_rate", plain(20, 0.8, 0.3, 5, 1.0), 300),  # 0.87 with the design effect of the prompts alone
    ("win_rate", plain(20, 0.05), 300),
    ("win_rate", plain(50, 0.5, 0.3, 5, 0.3), 150),
    ("bootstrap", plain(20, 0.95, 0.0, 5, 1.0), 60),  # 0.55 when the prompt beside them was of one comparison
    ("bootstrap", plain(50, 0.5, 0.3), 60),
    ("soft", {"n": 20, "rate": 0.05, "spread": 0.95, "per_prompt": 5, "alike": 1.0}, 100),  # 0.61
    ("length_controlled", lengths(20, 0.95, 5, 0.3), 150),  # 0.43 by the normal interval on the log-odds
    ("length_controlled", lengths(50, 0.5), 100),
    ("agreement_corrected", judged(200, 50, 0.3, 0.85), 150),
    ("agreement_corrected", judged(50, 50, 0.05, 0.95), 150),  # 0.90 by a bootstrap, 0.88 by likeness alone
    ("agreement_corrected", judged(50, 30, 0.5, 0.85, 5, 0.3, 0.3), 150),
    ("judge_accuracy", judged(50, 30, 0.5, 0.95), 200),
    ("kappa", raters(20, 0.8, 0.05), 80),
    ("alpha", raters(50, 0.5, 0.2, 5, 0.5), 80),
    ("slope", {"n": 50, "rate": 0.5, "weight": 0.7, "per_prompt": 5, "alike": 0.3}, 150),
    ("fleiss", raters(20, 0.8, 0.05), 80),
    ("lead", {"n": 20, "rate": 0.7, "per_prompt": 3, "alike": 0.5}, 60),
    ("strength", {"n": 20, "rate": 0.9, "per_prompt": 1, "alike": 0.0}, 60),
    ("kl_per_token", {"n": 50, "spread": 1.2, "with_length": 0.3, "shape": 0.0}, 300),  # 0.82 by Student's
    ("kl_per_token", {"n": 150, "spread": 0.0, "with_length": 0.0, "shape": 0.5}, 300),
    ("perplexity", {"n": 20, "spread": 0.8, "skewed": 1}, 300),  # 0.90 without the third moment
    ("mean_length", {"n": 20, "spread": 1.2, "answers": 1}, 300),  # 0.84
    ("growth", {"n": 20, "spread": 1.2, "answers": 1}, 300),  # 0.89
    ("benchmark", {"n": 20, "rate": 0.9, "changed": 0.05}, 300),
    ("soft_benchmark", {"n": 20, "rate": 0.2, "changed": 0.3}, 300),  # 0.84
    ("benchmark_group", {"n": 20, "rate": 0.5, "changed": 0.3}, 100),
    ("perplexity_benchmark", {"n": 20, "rate": 0.5, "changed": 0.3}, 100),
    ("audited_share", {"n": 20, "rate": 0.95, "per_prompt": 5, "alike": 1.0}, 300),
    ("audited_labels", {"n": 50, "liked": 0.4, "shift": 2.0}, 300),  # 0.83 with the error of what was seen
]  # fmt: skip


@pytest.mark.parametrize(("figure", "cell", "times"), QUICK)
def test_intervals_hold_the_truth(
    simulation: ModuleType, figure: str, cell: dict[str, float], times: int
) -> None:
    found = simulation.covered(figure, cell, times)
    assert found.num_intervals > 0.9 * times
    assert found.coverage >= 0.91 - 2 * math.sqrt(0.91 * 0.09 / times)


def test_an_interval_that_is_too_narrow_is_seen(
    simulation: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bounds above are wide: a third off the width is still found out."""
    grid, draw = simulation.FIGURES["win_rate"]

    def narrow(cell: dict[str, float], generator: np.random.Generator) -> tuple[tuple[float, float], float]:
        (low, high), truth = draw(cell, generator)
        return (low + (high - low) / 6, high - (high - low) / 6), truth

    monkeypatch.setitem(simulation.FIGURES, "win_rate", (grid, narrow))
    assert simulation.covered("win_rate", plain(50, 0.5), 300).coverage < 0.91 - 2 * math.sqrt(0.0819 / 300)


def test_the_grid_is_the_one_that_is_promised(simulation: ModuleType) -> None:
    cells = list(simulation.FIGURES["win_rate"][0]())
    assert {cell["n"] for cell in cells} == {20, 50, 150, 500}
    assert {cell["rate"] for cell in cells} == {0.05, 0.2, 0.5, 0.8, 0.95}
    assert {cell["ties"] for cell in cells} == {0.0, 0.3}
    assert {cell["per_prompt"] for cell in cells} == {1, 2, 5}


def test_diversity_holds_what_as_many_prompts_have(simulation: ModuleType) -> None:
    """Its truth is drawn too, which takes long: here of few draws, for all measures at once.

    A bootstrap, in which prompts occur twice, would not even hold the estimate.
    """
    worlds = sys.modules["interval_worlds"]
    cell, draw = {"n": 20, "answers": 1, "fond": 0.4}, np.random.default_rng(3)
    drawn = [worlds._diversity(cell, draw) for _ in range(60)]
    for measure in drawn[0]:
        truth = np.mean([one[measure].value for one in drawn])
        held = [one[measure].interval_95[0] <= truth <= one[measure].interval_95[1] for one in drawn]
        assert np.mean(held) >= 0.91 - 2 * math.sqrt(0.91 * 0.09 / 60), measure


def test_every_figure_is_drawn_in_a_quick_test(simulation: ModuleType) -> None:
    quick = {figure for figure, _, _ in QUICK}
    assert set(simulation.FIGURES) - quick == {"distinct_1", "distinct_2", "distinct_3", "self_bleu"}


@pytest.mark.thorough
@pytest.mark.parametrize("figure", ["win_rate", "audited_share", "audited_labels", "slope"])
def test_the_whole_grid(whole_grid: Callable[[str], None], figure: str) -> None:
    whole_grid(figure)
