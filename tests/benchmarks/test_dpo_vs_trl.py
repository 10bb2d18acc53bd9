"""The benchmark runs anywhere, writes what scripts read, and finds that both tools do the same thing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "dpo_vs_trl.py"


@pytest.mark.thorough
def test_both_tools_lose_the_same(tmp_path: Path) -> None:
    result_file = tmp_path / "result.json"
    arguments = [
        "--size",
        "tiny",
        "--dtype",
        "float32",
        "--threads",
        "1",
        "--steps",
        "3",
        "--warmup-steps",
        "1",
    ]
    command = [sys.executable, str(SCRIPT), *arguments, "--group-by-prompt", "--json", str(result_file)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(result_file.read_text(encoding="utf-8"))
    for name in ("palate", "trl", "palate_grouped", "trl_grouped"):
        assert result[name]["pairs_per_second"] > 0
        assert result[name]["peak_memory_bytes"] > 2**28
        assert len(result[name]["losses"]) == 4
    assert result["palate"]["losses"] == pytest.approx(result["trl"]["losses"], abs=1e-5)
    assert result["palate_grouped"]["losses"] == pytest.approx(result["trl_grouped"]["losses"], abs=1e-5)
    assert result["palate"]["losses"] != pytest.approx(result["palate_grouped"]["losses"], abs=1e-5)
    assert result["max_abs_logp_difference"] < 1e-4
    assert not list(tmp_path.glob("palate-benchmark-*")), "nothing is left behind"
