"""The benchmark of many annotators runs, loses nothing, and prints what scripts read; times are not asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "votes_load.py"


@pytest.mark.parametrize("pace", [["--per-second", "5"], ["--no-pause"]])
def test_every_vote_is_stored_once(pace: list[str], tmp_path: Path) -> None:
    store = tmp_path / "votes.sqlite3"
    options = ["--store", str(store), "--annotators", "4", "--seconds", "1", "--items", "30"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *options, *pace], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["num_votes"] > 4
    assert (figures["num_errors"], figures["num_not_stored_once"]) == (0, 0)
    assert figures["vote_milliseconds"]["max"] >= figures["vote_milliseconds"]["p50"] > 0
