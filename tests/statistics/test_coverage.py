"""Do the printed 95% intervals hold the truth? Over a grid of truths, ties and clusters, by simulation.

`benchmarks/interval_coverage.py` draws the data and prints the whole grid; docs/statistics.md has figures of
it. Here a few cells are drawn each time, and all of them on a thorough run. Draws are seeded: a bound is
missed by a change of the code and not by chance, and bounds leave room for the draws' own error.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "interval_coverage.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("interval_coverage", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


simulation = _load()


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
    ("agreement_corrected", {"n": 200, "num_votes": 50, "rate": 0.3, "accuracy": 0.85}, 80),
    ("agreement_corrected", {"n": 50, "num_votes": 50, "rate": 0.05, "accuracy": 0.95}, 150),  # 0.90
    ("kappa", raters(20, 0.8, 0.05), 80),
    ("alpha", raters(50, 0.5, 0.2, 5, 0.5), 80),
    ("slope", {"n": 50, "rate": 0.5, "weight": 0.7, "per_prompt": 5, "alike": 0.3}, 150),
    ("lead", {"n": 20, "rate": 0.7, "per_prompt": 3, "alike": 0.5}, 60),
]  # fmt: skip


@pytest.mark.parametrize(("figure", "cell", "times"), QUICK)
def test_intervals_hold_the_truth(figure: str, cell: dict[str, float], times: int) -> None:
    found = simulation.covered(figure, cell, times)
    assert found.num_intervals > 0.9 * times
    assert found.coverage >= 0.91 - 2 * math.sqrt(0.91 * 0.09 / times)


def test_an_interval_that_is_too_narrow_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds above are wide: a third off the width is still found out."""
    grid, draw = simulation.FIGURES["win_rate"]

    def narrow(cell: dict[str, float], generator: np.random.Generator) -> tuple[tuple[float, float], float]:
        (low, high), truth = draw(cell, generator)
        return (low + (high - low) / 6, high - (high - low) / 6), truth

    monkeypatch.setitem(simulation.FIGURES, "win_rate", (grid, narrow))
    assert simulation.covered("win_rate", plain(50, 0.5), 300).coverage < 0.91 - 2 * math.sqrt(0.0819 / 300)


def test_the_grid_is_the_one_that_is_promised() -> None:
    cells = list(simulation.FIGURES["win_rate"][0]())
    assert {cell["n"] for cell in cells} == {20, 50, 150, 500}
    assert {cell["rate"] for cell in cells} == {0.05, 0.2, 0.5, 0.8, 0.95}
    assert {cell["ties"] for cell in cells} == {0.0, 0.3}
    assert {cell["per_prompt"] for cell in cells} == {1, 2, 5}


@pytest.mark.thorough
@pytest.mark.parametrize("figure", list(simulation.FIGURES))
def test_the_whole_grid(figure: str) -> None:
    """The mean over the grid, and the worst cell; 300 draws of a cell are off by 1.6 points at 91%, and the
    worst of a hundred cells by three times that."""
    shares = [simulation.covered(figure, cell, 300).coverage for cell in simulation.FIGURES[figure][0]()]
    # A judge who may be little better than a coin leaves nearly everything possible.
    assert 0.94 <= np.mean(shares) <= (0.98 if figure == "agreement_corrected" else 0.965)
    assert min(shares) >= 0.91 - 0.045
