"""The simulation of every interval, `benchmarks/interval_coverage.py`, and what is asked of a whole grid."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "interval_coverage.py"


@pytest.fixture(scope="session")
def simulation() -> ModuleType:
    """The benchmark's script, loaded from its file."""
    sys.path.append(str(SCRIPT.parent))  # its worlds lie beside it
    spec = importlib.util.spec_from_file_location("interval_coverage", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def whole_grid(simulation: ModuleType) -> Callable[..., None]:
    """Draw every cell of a figure's grid, and its lowest cell again, with other draws and more of them.

    The mean of a grid is known to some tenths of a percent. The lowest of a hundred cells lies far below its
    own coverage by the draws alone: only the second drawing says what that is.
    """

    def draw(figure: str, times: int = 100, again: int = 1000) -> None:
        found = [simulation.covered(figure, cell, times) for cell in simulation.FIGURES[figure][0]()]
        mean = float(np.mean([one.coverage for one in found]))
        error = math.sqrt(0.05 * 0.95 / (times * len(found)))
        assert 0.94 - 2 * error <= mean <= 0.965 + 2 * error
        lowest = min(found, key=lambda one: one.coverage)
        anew = simulation.covered(figure, lowest.cell, again, seed=1)
        assert anew.coverage >= 0.91 - 2 * math.sqrt(0.91 * 0.09 / again), (lowest.cell, lowest.coverage)

    return draw
