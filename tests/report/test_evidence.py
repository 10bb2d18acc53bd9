"""What a comparison measured becomes rows and tables: hand-worked, and absent where it was not measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import synthetic_comparison as full
import synthetic_run as synthetic
from html_reading import Page
from hypothesis import given
from hypothesis import strategies as st

from palate.report import build_report, samples
from palate.report.cautions import cautions, findings_of
from palate.report.claim import claim_of_comparison
from palate.report.comparison import Comparison
from palate.report.drawing import MAX_LABEL_COLUMNS, Words, colour_of
from palate.report.evidence import benchmarks, lengths, measures, ranking, win_rates
from palate.report.folder import read_run
from palate.report.phrases import Phrases
from palate.report.row_plots import Mark, Row, RowPlot, Spread, draw_rows
from palate.report.samples import samples_of
from palate.report.style_section import style_of
from palate.report.svg import StyleSheet

SAY = Phrases("en")


def compared(num_models: int = 2, **changed: Any) -> Comparison:
    return Comparison.model_validate(full.full_comparison(num_models) | changed)


def sections(page: Page) -> list[str]:
    return [str(found["id"]) for found in page.all("section") if "id" in found]


def read(folder: Path) -> Page:
    return Page(build_report(folder).read_text(encoding="utf-8"))


def test_a_full_run_has_its_sections_in_order(tmp_path: Path) -> None:
    page = read(full.write_full_run(tmp_path / "run", num_steps=8))
    assert sections(page) == [
        "findings", "curves", "win-rates", "samples", "worse", "lengths", "style", "measures", "benchmarks",
        "data", "audit", "judge", "speed", "recipe", "lineage", "environment",
    ]  # fmt: skip
    linked = [str(link["href"])[1:] for link in page.all("a")]
    assert linked[-16:] == sections(page)
    for plot in ("Win rates: harbour against playground 84%", "Style: words 2.2× → 1.4×; punctuation"):
        assert any(str(found["aria-label"]).startswith(plot) for found in page.all("svg", "plot")), plot


@pytest.mark.parametrize(
    ("key", "section"),
    [
        ("worse_prompts", "worse"), ("style", "style"), ("benchmarks", "benchmarks"), ("judge_card", "judge"),
        ("samples", "lengths"),
    ],
)  # fmt: skip
def test_what_was_not_measured_is_not_there(tmp_path: Path, key: str, section: str) -> None:
    folder = full.write_full_run(tmp_path / "run", num_steps=2)
    content = full.full_comparison()
    del content[key]
    synthetic.write_json(folder / "evaluation" / "comparison.json", content)
    page = read(folder)
    assert section not in sections(page)
    assert f"#{section}" not in [link["href"] for link in page.all("a")]


def test_a_comparison_with_nothing_but_names_leaves_no_empty_section(tmp_path: Path) -> None:
    folder = synthetic.write_run(tmp_path / "run", num_steps=2)
    synthetic.write_json(folder / "evaluation" / "comparison.json", {"base": "a", "tuned": "b"})
    assert sections(read(folder)) == [
        "curves", "samples", "data", "speed", "recipe", "lineage", "environment",
    ]  # fmt: skip


def test_win_rates_have_a_lane_for_each_correction() -> None:
    found = win_rates(compared(), SAY)
    assert found is not None
    (row,) = found.plot.rows
    assert (row.name, row.figure) == ("harbour against playground", "84%")
    marks = [mark for (mark,) in row.lanes if isinstance(mark, Mark)]
    # (13 wins + 1 tie / 2) / 16; the synthetic corrections take 0.17 off and add 0.05.
    assert [mark.value for mark in marks] == pytest.approx([0.84375, 0.67375, 0.89375])
    assert [mark.strong for mark in marks] == [True, False, False]
    assert found.plot.level == (0.5, "50%") and found.plot.limits == (0.0, 1.0)
    assert found.numbers.rows[0][:6] == (
        "harbour against playground", "13", "2", "1", "2", "84.4% (64.3% to 96.4%)",
    )  # fmt: skip
    assert [name for _, name in found.legend] == ["win rate", "at equal lengths", "judge's errors taken out"]


def test_a_figure_nobody_measured_has_no_column() -> None:
    plain = {name: full.rate("harbour", "playground", 0)[name] for name in full.WIN_RATE}
    rate = {"of": "harbour", "against": "playground", **plain, "num_more_to_settle": None}
    found = win_rates(compared(win_rates=[rate]), SAY)
    assert found is not None
    assert found.numbers.columns == (
        "models", "wins", "losses", "ties", "no verdict", "win rate", "sign test p",
    )  # fmt: skip
    assert found.legend == () and len(found.plot.rows[0].lanes) == 1


def test_an_older_file_s_win_rate_is_drawn_too() -> None:
    content = synthetic.comparison()
    found = win_rates(Comparison.model_validate(content), SAY)
    assert found is not None
    assert found.plot.rows[0].name == "harbour against playground"
    # 14 wins of 16 with one tie: 14.5 / 16.
    assert found.plot.rows[0].lanes == ((Mark(14.5 / 16, (0.687, 0.985)),),)


def test_percentiles_of_lengths_by_hand() -> None:
    """Answers of 1 to 21 characters: the p-th percentile of 21 even steps is 1 + 20 p."""
    rows = [
        {"prompt": [], "base": [{"text": "x" * n}], "tuned": [{"text": "y" * 5}], "verdict": None}
        for n in range(1, 22)
    ]
    found = lengths(compared(samples=rows), SAY)
    assert found is not None
    spread = found.plot.rows[0].lanes[0][0]
    assert isinstance(spread, Spread)
    assert spread.percentiles == pytest.approx((2.0, 6.0, 11.0, 16.0, 20.0))
    assert spread.dots == tuple(map(float, range(1, 22)))
    assert found.numbers.rows == (
        ("playground", "21", "11", "2", "6", "11", "16", "20", "21"),
        ("harbour", "21", "5", "5", "5", "5", "5", "5", "5"),
    )


def test_one_answer_that_never_ends_does_not_squeeze_the_others_flat() -> None:
    rows = [{"prompt": [], "base": [{"text": "x" * 50}], "tuned": [{"text": "y" * 50}]} for _ in range(99)]
    rows.append({"prompt": [], "base": [{"text": "x" * 50}], "tuned": [{"text": "y" * 9000}]})
    found = lengths(compared(samples=rows), SAY)
    assert found is not None
    assert found.plot.limits[1] == pytest.approx(102)  # twice the 95th percentile, and a little room
    assert found.notes == ("1 longer answer lies beyond the right edge.",)
    assert found.numbers.rows[1][-1] == "9,000"


def test_style_is_drawn_in_multiples_of_the_noise_floor() -> None:
    """0.31 / 0.14 = 2.21 and 0.19 / 0.14 = 1.36; the band ends at 0.17 / 0.14 = 1.21."""
    found = style_of(compared(), SAY)
    assert found is not None and found.distances is not None
    row = found.distances.plot.rows[0]
    assert row.figure == "2.2× → 1.4×"
    assert [mark.value for mark in row.lanes[0] if isinstance(mark, Mark)] == pytest.approx(
        [0.31 / 0.14, 0.19 / 0.14]
    )
    assert row.band is not None and row.band.high == pytest.approx(0.17 / 0.14)
    assert found.telling[0].more == ("thank", "hope", "question", "today")
    assert found.telling[0].less == ("moon", "joint")
    assert found.closer[0] == (
        "That the first and the last model are equally far from the target would give such a difference "
        "with: words p = 0.002, Burrows's delta p = 0.04."
    )


def test_measures_have_a_row_each_and_a_column_a_model() -> None:
    found = measures(compared(fears={"harbour": {"new_thing": 0.5, "num_answers": 16}}), SAY)
    assert found is not None
    assert found.columns == ("measure", "playground", "harbour")
    rows = {name: cells for name, *cells in found.rows}
    assert rows["new thing"] == ["–", "0.500"]
    assert rows["Drift from the base, KL per token on its own answers"] == ["–", "0.210 (0.180 to 0.240)"]
    assert "num answers" not in rows
    assert not any(name.endswith("times the base's") for name in rows)
    ratio = {"value": 16.6, "ratio_to_base": 1.07, "ratio_interval_95": [1.02, 1.12]}
    found = measures(compared(perplexity={"playground": {"value": 15.5}, "harbour": ratio}), SAY)
    assert found is not None
    rows = {name: cells for name, *cells in found.rows}
    assert rows["Perplexity on neutral text, times the base's"] == ["–", "1.07 (1.02 to 1.12)"]


def test_benchmarks_are_drawn_around_no_difference() -> None:
    found = benchmarks(compared(), SAY)
    assert found is not None
    assert [row.figure for row in found.plot.rows] == ["−0.0100", "+0.0500", "−0.0500"]
    low, high = found.plot.limits
    assert low == -high and found.plot.level == (0.0, "no difference")


def test_several_models_stand_side_by_side_and_in_a_ranking(tmp_path: Path) -> None:
    page = read(full.write_full_run(tmp_path / "run", num_steps=2, num_models=3))
    assert (
        "harbour answers better than playground, by the judge “innkeeper”. It is not settled whether "
        "harbour-long answers better than playground." in page.text
    )
    assert len(page.all("div", "answer")) == 16 * 3 + 2
    # Each model's verdict stands at its own answer, however long its name.
    said = [found["class"] for found in page.all("span", "pill")]
    assert (said.count("pill win"), said.count("pill tie")) == (14, 17)
    grid = ranking(compared(3), SAY)
    assert grid is not None
    assert [row[0] for row in grid.rows] == ["harbour-long", "harbour", "playground"]


def test_a_withheld_verdict_claims_nothing() -> None:
    card = full.judge_card() | {"withheld_because": "The headline is withheld: innkeeper failed gibberish."}
    claim = claim_of_comparison(compared(judge_card=card, win_rate=None, win_rates=[]))
    assert (
        claim.tone == "open" and "better" in claim.headline and claim.headline.startswith("Nothing is said")
    )
    assert claim.remarks[0].endswith("innkeeper failed gibberish.")


def test_a_correction_that_undoes_the_verdict_says_so() -> None:
    remarks = claim_of_comparison(compared()).remarks
    assert remarks[1] == "At equal lengths the win rate is 67% (95% interval 48.3% to 86.4%): " + (
        "that alone would not show it."
    )
    assert remarks[2] == "With the judge's own errors taken out it is 89% (95% interval 64.3% to 100.0%)."


def test_cautions_are_few_and_the_gravest_come_first(tmp_path: Path) -> None:
    folder = full.write_full_run(tmp_path / "run", num_steps=2)
    content = full.findings()
    error = content["findings"][0] | {"rule": "wrong_reference", "severity": "error", "recipe_value": None}
    content["findings"] += [error, *content["findings"][:1] * 6]
    synthetic.write_json(folder / "findings.json", content)
    run = read_run(folder)
    found = cautions(run, SAY)
    assert len(found) == 10
    assert (found[0].about, found[0].section) == ("Wrong reference", "findings")
    views = findings_of(run, SAY)
    assert (views[0].suggestion, views[1].suggestion) == ("", "objective.logps: mean")
    assert findings_of(run, Phrases("zh"))[0].name == "参考模型不对"


def test_answers_beyond_what_a_page_holds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"text": "w" * 100}
    rows = [{"prompt": [], "base": [answer] * 6, "tuned": [answer] * 2} for _ in range(10)]
    found = samples_of(compared(samples=rows), SAY)
    assert len(found.views) == found.num_in_file == 10
    assert [len(view.rounds) for view in found.views] == [4] * 10
    assert found.views[0].num_left_out == 2
    assert found.views[0].same(found.views[0].rounds[0]) and not found.views[0].same(found.views[0].rounds[3])
    # Four answers of one and two of the other are 600 characters a prompt.
    monkeypatch.setattr(samples, "MAX_CHARACTERS_IN_ALL", 2000)
    assert len(samples_of(compared(samples=rows), SAY).views) == 3


def test_thousands_of_samples_make_no_page_of_many_megabytes(tmp_path: Path) -> None:
    folder = full.write_full_run(tmp_path / "run", num_steps=2)
    content = full.full_comparison()
    long = [{"text": f"{place} " + "word " * 2000} for place in range(8)]
    short = [{"text": "word " * 50}]
    content["samples"] = [
        {"prompt": [{"role": "user", "content": "go on"}], "base": answers, "tuned": answers}
        for answers in [long] * 60 + [short] * 2940
    ]
    (folder / "evaluation" / "comparison.json").write_text(json.dumps(content), encoding="utf-8")
    path = build_report(folder)
    assert path.stat().st_size < 4_000_000
    page = Page(path.read_text(encoding="utf-8"))
    assert "of 3,000." in page.text
    assert "further answers of each model are in evaluation/comparison.json." in page.text


def test_labels_are_cut_by_how_wide_they_look() -> None:
    words = Words()
    words("a" * 200), words("茶" * 200), words("short $x^2$ \x1b <b>")
    cut, chinese, short = words.texts.values()
    assert len(cut) == MAX_LABEL_COLUMNS and cut.endswith("…")
    assert len(chinese) == MAX_LABEL_COLUMNS // 2 and chinese.endswith("…")
    assert short == "short $x^2$ ␛ <b>"


def test_models_have_four_colours_and_then_a_grey_one() -> None:
    assert [colour_of(place) for place in (0, 1, 5)] == ["contrast", "accent", "muted"]


VALUES = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-5, 5),
    st.lists(st.floats(), max_size=3),
)


@given(
    share=VALUES, low=VALUES, high=VALUES, text=st.text(max_size=40), fears=st.dictionaries(st.text(), VALUES)
)
def test_no_figure_of_a_file_can_break_the_page(
    share: Any, low: Any, high: Any, text: str, fears: Mapping[str, Any]
) -> None:
    """Figures that are no numbers count as not measured; names may be any text."""
    number = share if not isinstance(share, list) else None
    rate = {"of": text, "against": "b", "win_rate": number, "interval_95": [low, high], "sign_test_p": number}
    content = {"base": "b", "tuned": text, "win_rates": [rate], "fears": {text: fears}, "warnings": [text]}
    found = Comparison.model_validate(content)
    claim_of_comparison(found)
    measures(found, SAY)
    plotted = win_rates(found, SAY)
    assert plotted is None or len(plotted.plot.rows) == 1


def test_foreign_names_reach_a_drawing_as_text_only() -> None:
    nasty = "</text><script>alert(1)</script>&amp;"
    row = Row(nasty, nasty, ((Mark(0.5, (0.4, 0.6)),),))
    drawn = draw_rows(RowPlot("p", f'"{nasty}', (row,), (0.0, 1.0)), StyleSheet())
    assert "<script" not in drawn and drawn.count("&lt;script&gt;") == 3
    assert "&amp;amp;" in drawn
