"""Nothing is said of runs that are well: real preferences, learnt in a pass, by several objectives."""

from __future__ import annotations

from pathlib import Path

import pytest
from taught_runs import taught_pairs, taught_run, write_rows

from palate.evaluate.diagnosis import diagnose_run

OBJECTIVES = ("dpo", "ipo", "simpo", "kto")


def rules_that_speak(folder: Path, objective: str, seed: int, *overrides: str) -> list[str]:
    data = write_rows(folder / f"rows-{seed}.jsonl", taught_pairs(400, seed))
    run = taught_run(
        folder, data, f"objective.type={objective}", f"seed={seed}", *overrides, name=f"{objective}-{seed}"
    )
    return [f"{finding.rule}: {finding.sentence}" for finding in diagnose_run(run).findings]


def test_a_healthy_run_is_left_in_peace(tmp_path: Path) -> None:
    assert rules_that_speak(tmp_path, "dpo", 0) == []


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_so_are_all_of_them(tmp_path: Path, objective: str, seed: int) -> None:
    assert rules_that_speak(tmp_path, objective, seed) == []


def test_the_preferences_are_neither_trivial_nor_broken() -> None:
    """Of the pairs that differ in worth, labels follow it in 85 to 95 of 100."""
    from taught_runs import worth

    rows = taught_pairs(400, 0)
    gaps = [worth(row["chosen"]) - worth(row["rejected"]) for row in rows]
    apart = [gap > 0 for gap in gaps if gap]
    assert len(apart) > 600
    assert 0.85 < sum(apart) / len(apart) < 0.95
