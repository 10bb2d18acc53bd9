"""Of a file that was made to fill it, or whose figures make no sense, a page is still a page, and small."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import synthetic_comparison as full
from html_reading import Page

from palate.report import build_report
from palate.report.row_plots import RowPlot, draw_rows
from palate.report.svg import StyleSheet

MANY = 1000
BUSY = "a, b; " * 200


def long_findings(content: dict[str, Any]) -> None:
    found = content["findings"][0]
    keys = {f"new figure {place}": place for place in range(200)}
    content["findings"] = [found | {"evidence": keys, "sentence": f"{n} {BUSY}"} for n in range(MANY)]
    content["rules_not_applicable"] = {f"rule {n}": f"{n} {BUSY}" for n in range(MANY)}


def long_card(content: dict[str, Any]) -> None:
    card = content["judge_card"]
    card["sentences"] = card["warnings"] = [f"{n} {BUSY}" for n in range(MANY)]
    card["findings"] = [card["findings"][0]] * MANY
    canary = next(iter(card["canaries"].values()))
    card["canaries"] = {f"canary {n}": canary | {"name": f"canary {n}"} for n in range(MANY)}
    card["judges"] = [{"judge": f"j{n}", "sentences": [BUSY] * 100} for n in range(MANY)]


def long_lists(content: dict[str, Any]) -> None:
    for key in ("win_rates", "fear_findings", "worse_prompts", "warnings"):
        content[key] = [content[key][0]] * MANY
    content["benchmarks"]["tasks"] = [content["benchmarks"]["tasks"][0]] * MANY
    content["ranking"] = [{"model": f"m{n}", "strength": 1.0} for n in range(MANY)]
    content["ranking_notes"] = [f"{n} {BUSY}" for n in range(MANY)]
    for figures in content["fears"].values():
        figures.update({f"new figure {n}": 0.5 for n in range(MANY)})
    for model in content["style"]["models"].values():
        model["distances"] = {f"measure {n}": {"value": 1.0, "noise_floor": 0.5} for n in range(MANY)}
        model["telling_words"] = [{"feature": "word", "log_odds": 1.0, "z": 2.0}] * MANY


def many_models(content: dict[str, Any]) -> None:
    names = [*content["models"], *(f"model {n}" for n in range(MANY))]
    rate, style = content["win_rates"][0], next(iter(content["style"]["models"].values()))
    content["models"] = names
    content["win_rates"] = [rate | {"of": name, "against": names[0]} for name in names[1:]]
    content["style"]["models"] = dict.fromkeys(names, style)
    content["samples"] = content["samples"][:3]
    for sample in content["samples"]:
        sample["answers"] = {name: [{"text": "The river."}] for name in names}


def long_samples(content: dict[str, Any]) -> None:
    sample = content["samples"][0]
    sample |= {"base": [{"text": ",;" * 3000}] * 10, "tuned": [{"text": ";,;" * 2000}] * 10}
    sample["prompt"] = sample["prompt"] * MANY
    content["samples"] = [sample] * 300


COMPARISON = "evaluation/comparison.json"
LONG: list[tuple[str, Callable[[dict[str, Any]], None], int]] = [
    ("findings.json", long_findings, 2),
    (COMPARISON, long_card, 2),
    (COMPARISON, long_lists, 2),
    (COMPARISON, many_models, 3),
    (COMPARISON, long_samples, 2),
]


@pytest.mark.parametrize(("file", "fill", "num_models"), LONG, ids=lambda one: getattr(one, "__name__", None))
def test_a_file_made_to_fill_a_page_does_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    fill: Callable[[dict[str, Any]], None],
    num_models: int,
) -> None:
    drawn: list[int] = []

    def counted(plot: RowPlot, styles: StyleSheet) -> str:
        drawn.append(len(plot.rows))
        return draw_rows(plot, styles)

    monkeypatch.setattr("palate.report.page.draw_rows", counted)
    folder = full.write_full_run(tmp_path / "run", num_steps=2, num_models=num_models)
    path = folder / file
    content = json.loads(path.read_text(encoding="utf-8"))
    fill(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    page = build_report(folder, language="zh").read_text(encoding="utf-8")
    assert max(drawn) <= 60
    read = Page(page)
    assert read.unbalanced == []
    assert len(read.elements) < 20_000
    assert len(page) < (9_000_000 if fill is long_samples else 2_500_000)


def test_evaluations_without_number_are_thinned_as_steps_are(tmp_path: Path) -> None:
    folder = full.write_full_run(tmp_path / "run", num_steps=2)
    rows = [
        {"split": split, "step": step * 10**12, "loss": 10.0 ** (step % 200 - 100)}
        for step in range(1, 5001)
        for split in ("train", "eval")
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
    page = build_report(folder, language="zh").read_text(encoding="utf-8")
    assert len(page) < 600_000
    assert page.count("<tr") < 1000


def blown(value: Any, figure: float) -> Any:
    """Every figure that is not a whole number, replaced."""
    if isinstance(value, dict):
        return {key: blown(inner, figure) for key, inner in value.items()}
    if isinstance(value, list):
        return [blown(inner, figure) for inner in value]
    return figure if isinstance(value, float) else value


@pytest.mark.parametrize("figure", [9e99, -9e99, 1e308, 5e-324, float("nan"), float("inf"), -0.0, 1e16])
def test_figures_without_sense_make_no_traceback(tmp_path: Path, figure: float) -> None:
    folder = full.write_full_run(tmp_path / "run", num_steps=2, num_models=3)
    for name in ("findings.json", "summary.json", "data.json", "audit.json", COMPARISON):
        path = folder / name
        content = json.loads(path.read_text(encoding="utf-8"))
        if name == COMPARISON:
            content["win_rate"] = None  # whose interval has to be one
        path.write_text(json.dumps(blown(content, figure)), encoding="utf-8")
    page = build_report(folder, language="zh").read_text(encoding="utf-8")
    assert Page(page).unbalanced == [] and len(page) < 2_000_000


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_folder_that_only_compares_says_nothing_of_training(tmp_path: Path, language: Any) -> None:
    whole = full.write_full_run(tmp_path / "run", num_steps=2)
    folder = tmp_path / "compared"
    (folder / "evaluation").mkdir(parents=True)
    (folder / COMPARISON).write_bytes((whole / COMPARISON).read_bytes())
    page = Page(build_report(folder, language=language).read_text(encoding="utf-8"))
    ids = {found.get("id") for found in page.all("section")}
    assert ids >= {"win-rates", "samples"} and not ids & {"curves", "data", "recipe", "speed", "findings"}
    for word in (
        "metrics.jsonl",
        "recipe.yaml",
        "summary.json",
        "palate resume",
        "Before and after",
        "训练前后",
    ):
        assert word not in page.text
    content = json.loads((folder / COMPARISON).read_text(encoding="utf-8"))
    content |= {"judge": None, "judge_card": None, "win_rate": None, "win_rates": [], "held_out": None}
    (folder / COMPARISON).write_text(json.dumps(content), encoding="utf-8")
    text = Page(build_report(folder, language=language).read_text(encoding="utf-8")).text
    assert "palate resume" not in text and "metrics.jsonl" not in text
