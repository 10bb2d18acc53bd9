"""The demo keeps its word: measured on prompts never trained on, the preferred voice takes over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palate.errors import RecipeError
from palate.pipeline import run_demo


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (1, 2))])
def test_the_preferred_voice_takes_over(tmp_path: Path, seed: int) -> None:
    result = run_demo(str(tmp_path / "demo"), seed=seed)
    before, after = result.summary["preferred_share_before"], result.summary["preferred_share_after"]
    assert 0.35 <= before <= 0.65
    assert after >= 0.9
    assert result.report.is_file()
    written = json.loads((result.folder / "summary.json").read_text())
    assert (written["preferred_share_before"], written["preferred_share_after"]) == (before, after)
    told = json.loads((result.folder / "findings.json").read_text(encoding="utf-8"))["findings"]
    assert "evaluation_too_small" not in {finding["rule"] for finding in told}

    asked = {sample["prompt"][-1]["content"] for sample in result.comparison["samples"]}
    pairs = (result.folder / "data" / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    trained_on = {json.loads(pair)["prompt"][-1]["content"] for pair in pairs}
    assert len(asked) == 64 and not asked & trained_on
    scores = [answer["score"] for sample in result.comparison["samples"] for answer in sample["tuned"]]
    assert after == pytest.approx(sum(scores) / len(scores))


def test_a_folder_of_something_else_is_not_cleared(tmp_path: Path) -> None:
    """Not even a run whose own data happens to lie where a demo keeps its."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pairs.jsonl").write_text("mine")
    (tmp_path / "recipe.yaml").write_text(
        f"output: {tmp_path}\ndata: {{train: {{source: data/pairs.jsonl}}}}\n"
    )
    with pytest.raises(RecipeError, match="something else than a demo"):
        run_demo(str(tmp_path))
    assert (tmp_path / "data" / "pairs.jsonl").read_text() == "mine"


def test_a_demo_that_was_stopped_can_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        pass

    def stop(*args: object) -> None:
        raise Stopped

    monkeypatch.setattr("palate.pipeline.demo._generate", stop)
    for _ in range(2):
        with pytest.raises(Stopped):
            run_demo(str(tmp_path / "demo"))
