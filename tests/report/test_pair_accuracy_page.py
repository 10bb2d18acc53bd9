"""Preference accuracy in the report and in a terminal: every figure, and no claim beyond its interval."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import synthetic_comparison as full
import synthetic_run as synthetic
from html_reading import Page
from rich.console import Console

from palate.report import build_report, render_comparison
from palate.report.claim import claim_of, claim_of_comparison
from palate.report.comparison import Comparison
from palate.report.folder import read_run
from palate.report.pair_accuracy import pair_accuracy
from palate.report.phrases import Phrases

SAY = Phrases("en")


def measured(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "interval_95": [low, high]}


def accuracies(difference: float, low: float, high: float) -> dict[str, Any]:
    return {
        "source": "pairs.jsonl",
        "sentence": "harbour and playground were measured.",
        "num_pairs": 240,
        "num_prompts": 60,
        "num_left_out": 0,
        "longer_chosen_share": 0.5,
        "models": {
            "playground": {
                "accuracy": measured(0.5512, 0.47, 0.63),
                "accuracy_of_sums": measured(0.5, 0.42, 0.58),
            },
            "harbour": {
                "accuracy": measured(0.7012, 0.62, 0.77),
                "accuracy_of_sums": measured(0.6, 0.52, 0.68),
            },
        },
        "against_base": {
            "harbour": {
                "num_gained": 51,
                "num_lost": 15,
                "difference": difference,
                "difference_interval_95": [low, high],
                "sign_test_p": 0.00001,
                "reward_accuracy": measured(0.8, 0.72, 0.86),
            }
        },
        "warnings": ["9 of 249 pairs are left out: harbour was trained on their prompts."],
    }


def unjudged(found: dict[str, Any]) -> Comparison:
    nobody = {"judge": None, "judge_card": None, "win_rate": None, "win_rates": [], "held_out": None}
    return Comparison.model_validate(full.full_comparison() | nobody | {"pair_accuracy": found})


@pytest.mark.parametrize(
    ("low", "high", "tone", "begins"),
    [
        (
            0.05,
            0.25,
            "better",
            "harbour goes by held-out preferences more often than playground.",
        ),
        (-0.25, -0.05, "worse", "harbour goes by held-out preferences less often than playground"),
        (-0.01, 0.3, "open", "It is not settled whether harbour goes by held-out preferences more often"),
        (0.0, 0.3, "open", "It is not settled"),
    ],
)
def test_where_nobody_judged_the_claim_is_that_of_the_pairs(
    low: float, high: float, tone: str, begins: str
) -> None:
    claim = claim_of_comparison(unjudged(accuracies((low + high) / 2, low, high)))
    assert claim.tone == tone
    assert claim.headline.startswith(begins)
    assert claim.remarks[0].startswith(
        "harbour finds the chosen side likelier in 70% of 240 held-out pairs, "
    )
    assert "not judged" in claim.remarks[-1]


def test_a_judge_speaks_first() -> None:
    content = full.full_comparison() | {"pair_accuracy": accuracies(-0.1, -0.2, -0.05)}
    claim = claim_of_comparison(Comparison.model_validate(content))
    assert "answers better" in claim.headline


def test_the_table_holds_every_figure_and_rounds_outwards() -> None:
    drawn = pair_accuracy(unjudged(accuracies(0.15, 0.0512, 0.2489)), SAY)
    assert drawn is not None
    base, tuned = drawn.numbers.rows
    assert base[:3] == ("playground", "55.1% (47.0% to 63.0%)", "50.0% (42.0% to 58.0%)")
    assert set(base[3:]) == {"–"}
    assert tuned[3:6] == ("51", "15", "+15.0 points")
    assert tuned[6] == "+5.1 to +24.9"
    assert tuned[-1] == "80.0% (72.0% to 86.0%)"
    assert len(drawn.numbers.columns) == len(tuned)
    assert [row.name for row in drawn.plot.rows] == ["playground", "harbour"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_has_the_section_where_it_was_measured(tmp_path: Path, language: Any) -> None:
    folder = full.write_full_run(tmp_path / "run", num_steps=4)
    content = full.full_comparison() | {"pair_accuracy": accuracies(0.15, 0.05, 0.25)}
    synthetic.write_json(folder / "evaluation" / "comparison.json", content)
    text = build_report(folder, language=language).read_text(encoding="utf-8")
    page = Page(text)
    ids = [found["id"] for found in page.all("section") if "id" in found]
    assert ids.index("win-rates") + 1 == ids.index("pairs") == ids.index("samples") - 1
    assert "249" in text and "70.1%" in text
    synthetic.write_json(folder / "evaluation" / "comparison.json", full.full_comparison())
    assert 'id="pairs"' not in build_report(folder, language=language).read_text(encoding="utf-8")


def test_a_run_that_nobody_judged_leads_with_its_pairs(tmp_path: Path) -> None:
    folder = synthetic.write_run(tmp_path / "run", num_steps=4)
    content = unjudged(accuracies(0.15, 0.05, 0.25)).model_dump(mode="json")
    synthetic.write_json(folder / "evaluation" / "comparison.json", content)
    assert claim_of(read_run(folder)).headline.startswith("harbour goes by held-out preferences")


def test_a_terminal_and_a_pipe_tell_of_it() -> None:
    content = full.full_comparison() | {"pair_accuracy": accuracies(0.15, 0.05, 0.25)}
    console = Console(file=io.StringIO(), width=80)
    render_comparison(content, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "held-out pairs, playground: chosen side likelier per token 55.1% (47.0% to 63.0%)" in text
    assert "gained / lost 51 / 15" in text and "moved towards chosen 80.0%" in text
    assert "harbour and playground were measured." in text
    assert text.count("9 of 249") == 1
