"""The rooms that start at once: none of them brings torch along, however indirectly."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LIGHT = [
    "palate", "palate.errors", "palate.records", "palate.recipe", "palate.asking", "palate.data",
    "palate.judge", "palate.generate", "palate.annotate", "palate.statistics", "palate.pipeline",
    "palate.evaluate", "palate.evaluate.style", "palate.evaluate.diagnosis",
]  # fmt: skip
HEAVY = {"torch", "transformers", "peft", "accelerate", "datasets"}


@pytest.mark.parametrize("room", LIGHT)
def test_importing_it_loads_nothing_heavy(room: str) -> None:
    """In a fresh interpreter: this one has torch loaded already."""
    program = f"import json, sys, {room}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert room in loaded
    assert not loaded & HEAVY
