"""The page of a run: whole, honest about what is missing, always the same, and deaf to what a model says."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import synthetic_run as synthetic
from html_reading import Page

from palate.errors import ArtifactError
from palate.report import build_report

ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<svg/onload=alert(1)>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<iframe src='https://evil.example/'></iframe>",
    "<a href='javascript:alert(1)'>here</a>",
    "{{ 7 * 7 }}{% for x in y %}",
    "<!-- --><base href='https://evil.example/'><meta http-equiv=refresh content='0;url=https://evil.example'>",
    "' autofocus onfocus='alert(1)' x='",
)
ALLOWED_TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "section",
    "article",
    "header",
    "footer",
    "p",
    "h1",
    "h2",
    "h3",
    "h4",
    "span",
    "div",
    "dl",
    "dt",
    "dd",
    "ul",
    "li",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "figure",
    "figcaption",
    "details",
    "summary",
    "nav",
    "a",
    "pre",
    "code",
    "b",
    "del",
    "ins",
    "svg",
    "g",
    "path",
    "line",
    "rect",
    "circle",
    "text",
    "use",
    "defs",
    "clippath",
}
ALLOWED_ATTRIBUTES = {
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "id",
    "dir",
    "scope",
    "viewbox",
    "preserveaspectratio",
    "aria-hidden",
    "aria-label",
    "role",
    "href",
    "d",
    "x",
    "y",
    "x1",
    "x2",
    "y1",
    "y2",
    "cx",
    "cy",
    "r",
    "width",
    "height",
    "transform",
    "clip-path",
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return synthetic.write_run(tmp_path / "harbour", num_steps=60)


def read(run: Path) -> Page:
    return Page(build_report(run).read_text(encoding="utf-8"))


def attacked(value: Any) -> Any:
    """`value` with every attack in every text of it, keys but for the file's own included."""
    attack = " ".join(ATTACKS)
    if isinstance(value, dict):
        return {key: attacked(inner) for key, inner in value.items()} | {attack: attack}
    if isinstance(value, list):
        return [attacked(inner) for inner in value]
    return f"{value} {attack}" if isinstance(value, str) else value


def assert_harmless(page: Page) -> None:
    """Nothing but our own elements and attributes: no script, handler or inline style, nothing to load."""
    assert not page.unbalanced and not page.open
    for tag, attributes in page.elements:
        assert tag in ALLOWED_TAGS, tag
        assert set(attributes) <= ALLOWED_ATTRIBUTES, (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#"), attributes
    refreshes = [meta for meta in page.all("meta") if meta.get("http-equiv", "Content") == "refresh"]
    assert not refreshes
    assert "url(" not in page.style and "@import" not in page.style and "</" not in page.style


def curve_plots(page: Page) -> list[dict[str, str | None]]:
    """Those of metrics.jsonl: they tell from where to where a figure went."""
    return [plot for plot in page.all("svg", "plot") if " from " in str(plot["aria-label"])]


def test_a_whole_run_has_every_section_and_its_figures(run: Path) -> None:
    page = read(run)
    assert_harmless(page)
    sections = [attributes["id"] for attributes in page.all("section") if "id" in attributes]
    assert sections == [
        "curves", "win-rates", "samples", "lengths", "data", "speed", "recipe", "lineage", "environment",
    ]  # fmt: skip
    for expected in (
        "The tuned model answers better than the base model, by the judge “shorter”.",
        "95% interval 68.7% to 98.5%",
        "47% → 97%",
        "chosen and rejected are the same text",
        "data/harbour.jsonl:88",
        "541 rows = 534 kept + 7 set aside.",
        "3.36×",
        "1.43 GB",
        "learning_rate: 0.0001",
        "base.content_hash",
        "torch 2.13.0",
        "cut off at the length limit",
    ):
        assert expected in page.text, expected
    assert "Not in this run folder" not in page.text


def test_the_verdict_comes_first(run: Path) -> None:
    html = build_report(run).read_text(encoding="utf-8")
    assert (
        html.index("<h1>")
        < html.index('class="tiles"')
        < html.index('id="curves"')
        < html.index('id="samples"')
    )


def test_nothing_that_a_run_says_can_act(tmp_path: Path) -> None:
    run = synthetic.write_run(tmp_path / "run <script>alert(1)<", num_steps=5)
    content = attacked(synthetic.comparison())
    for sample in content["samples"]:
        sample["verdict"] = "win"
    content["figures"] = synthetic.comparison()["figures"]
    synthetic.write_json(run / "evaluation" / "comparison.json", content)
    for name in ("data.json", "environment.json", "lineage.json", "summary.json"):
        synthetic.write_json(run / name, attacked(json.loads((run / name).read_text(encoding="utf-8"))))
    recipe = json.dumps({"output": " ".join(ATTACKS), "objective": {"type": " ".join(ATTACKS)}})
    (run / "recipe.yaml").write_text(recipe, encoding="utf-8")
    page = read(run)
    assert_harmless(page)
    for attack in ATTACKS:
        # Shown, as text, in each place: two names, prompts, answers, reasons, recipe, lineage, environment.
        assert page.text.count(" ".join(attack.split())) > 50, attack


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_answer_that_differs_inside_an_attack_cannot_act(run: Path, attack: str) -> None:
    """The marks of a difference are set inside the text: escaping has to come after cutting, not before."""
    content = synthetic.comparison()
    content["samples"][0]["base"][0]["text"] = f"the same words before {attack} and after"
    content["samples"][0]["tuned"][0]["text"] = f"the same words before {attack.replace('a', 'b')} and after"
    (run / "metrics.jsonl").unlink()  # curves take most of the time, and have no part in this
    synthetic.write_json(run / "evaluation" / "comparison.json", content)
    page = read(run)
    assert_harmless(page)
    assert page.all("del") and page.all("ins")


def test_the_policy_forbids_everything_but_the_one_style_sheet(run: Path) -> None:
    page = read(run)
    (policy,) = [
        meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_no_address_of_any_other_machine_stands_in_the_page(run: Path) -> None:
    html = build_report(run).read_text(encoding="utf-8")
    assert "http://" not in html and "https://" not in html and "//" not in re.sub(r"[\w.]//", "", html)


def test_ids_are_unique_and_every_reference_has_its_target(run: Path) -> None:
    page = read(run)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = {str(attributes["href"])[1:] for attributes in page.all("use")}
    references |= {
        found
        for _, attributes in page.elements
        for found in re.findall(r"url\(#(.+?)\)", attributes.get("clip-path") or "")
    }
    assert references and references <= set(ids)


def test_the_same_folder_gives_the_same_bytes(run: Path) -> None:
    first = build_report(run).read_bytes()
    assert build_report(run).read_bytes() == first


def test_nothing_but_the_report_is_left_behind(run: Path) -> None:
    before = set(run.rglob("*"))
    path = build_report(run)
    assert path == run / "report.html"
    assert set(run.rglob("*")) - before == {path}


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = build_report(run).read_bytes()
    (run / "recipe.yaml").write_text("seed: 8\n", encoding="utf-8")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ArtifactError, match=r"report\.html.*cannot be written") as error:
        build_report(run)
    assert "No space left" in str(error.value)
    assert (run / "report.html").read_bytes() == old
    assert not list(run.glob(".report-*"))


@pytest.mark.parametrize(
    ("piece", "section"),
    [
        ("recipe.yaml", "recipe"),
        ("environment.json", "environment"),
        ("lineage.json", "lineage"),
        ("data.json", "data"),
        ("summary.json", "speed"),
        ("evaluation/comparison.json", "samples"),
    ],
)
def test_a_missing_piece_is_left_out_and_named(run: Path, piece: str, section: str) -> None:
    (run / piece).unlink()
    page = read(run)
    assert section not in [attributes.get("id") for attributes in page.all("section")]
    assert f"Not in this run folder: {piece}." in page.text


def test_missing_metrics_are_said_where_the_curves_would_be(run: Path) -> None:
    (run / "metrics.jsonl").unlink()
    page = read(run)
    assert "metrics.jsonl is not there, so there is nothing to draw." in page.text
    assert not curve_plots(page)


def test_empty_metrics_are_said_too(run: Path) -> None:
    (run / "metrics.jsonl").write_text("", encoding="utf-8")
    page = read(run)
    assert "No step is recorded in metrics.jsonl yet." in page.text
    assert not curve_plots(page)


def test_a_run_that_has_only_trained_claims_nothing_about_answers(run: Path) -> None:
    (run / "evaluation" / "comparison.json").unlink()
    page = read(run)
    assert (
        "Trained for 60 steps; its reward prefers the chosen answer in 93% of 54 held-out pairs." in page.text
    )
    assert "nothing is claimed about them" in page.text
    assert "better" not in page.text


def test_a_share_of_held_out_pairs_has_its_interval_without_a_comparison_too(run: Path) -> None:
    """10 of 20 prompts right: Wilson's interval is 0.5 -+ 0.2007, rounded outwards."""
    (run / "evaluation" / "comparison.json").unlink()
    pairs = [{"prompt": str(n), "reward_margin": 1.0 if n % 2 else -1.0} for n in range(20)]
    (run / "evaluation" / "held_out.json").write_text(
        json.dumps({"step": 60, "pairs": pairs}), encoding="utf-8"
    )
    page = read(run)
    assert "(95% interval 29.9% to 70.1%) of 54 held-out pairs." in page.text
    assert "20 pairs, 95% interval 29.9% to 70.1%" in page.text


def test_a_report_takes_margins_that_are_none(run: Path) -> None:
    (run / "evaluation" / "comparison.json").unlink()
    content = {"step": 60, "pairs": [{"prompt": "p", "reward_margin": None}, 3]}
    (run / "evaluation" / "held_out.json").write_text(json.dumps(content), encoding="utf-8")
    assert "in 93% of 54 held-out pairs." in read(run).text


def test_the_best_step_is_marked_in_every_curve_and_table(tmp_path: Path) -> None:
    page = read(synthetic.write_run(tmp_path / "run"))
    plots = curve_plots(page)
    assert len(plots) == 8 == len(page.all("g", "best-step"))
    assert all(str(plot["aria-label"]).endswith("best step 100") for plot in plots)
    assert page.text.count("best: step 100") == 8
    assert len(page.all("tr", "best")) == 8
    assert page.text.count("100 best") == 8


def test_without_a_best_step_none_is_marked(run: Path) -> None:
    synthetic.write_json(run / "summary.json", synthetic.summary(60) | {"best_step": None})
    page = read(run)
    assert curve_plots(page)
    assert not page.all("g", "best-step") and not page.all("tr", "best")


def test_gaps_are_shown_and_said(run: Path) -> None:
    rows = synthetic.metrics(60)
    for row in rows:
        if row["split"] == "train" and row["step"] in (12, 13):
            row["loss"] = math.nan
        if row["split"] == "train" and row["step"] == 30:
            row["grad_norm"] = None
    synthetic.write_metrics(run, rows)
    page = read(run)
    assert "Loss: no finite number at 2 of 60 training steps (12, 13)" in page.text
    assert "Gradient norm: no finite number at 1 of 60 training steps (30)" in page.text
    assert page.text.count("no finite number") == 2


def test_a_loss_that_was_never_a_number_is_said_although_nothing_can_be_drawn(run: Path) -> None:
    synthetic.write_metrics(run, [{"step": 1, "split": "train", "loss": math.nan}])
    page = read(run)
    assert "Loss: no finite number at 1 of 1 training step (1)" in page.text
    assert not curve_plots(page)


def test_rows_that_do_not_add_up_are_said(run: Path) -> None:
    content = synthetic.data()
    content["train"]["num_kept"] = 530
    content["eval"]["num_set_aside"], content["eval"]["num_kept"] = 2, 52
    synthetic.write_json(run / "data.json", content)
    page = read(run)
    assert "That does not add up: 4 rows are unaccounted for." in page.text
    assert "But the reasons below cover 0 of them." in page.text


def test_invisible_characters_of_an_answer_are_shown_as_signs(run: Path) -> None:
    content = synthetic.comparison()
    content["samples"][0]["tuned"][0]["text"] = "bell \x07 escape \x1b[31m turned \u202e half \ud800."
    (run / "evaluation" / "comparison.json").write_text(json.dumps(content), encoding="utf-8")
    html = build_report(run).read_text(encoding="utf-8")
    assert "bell ␇ escape ␛[31m turned \ufffd half \ufffd." in Page(html).text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", html)


def test_invisible_characters_of_names_and_reasons_are_shown_as_signs_too(run: Path) -> None:
    nasty = "\x1b[2J\x00\u202e\ud800"
    content = synthetic.comparison() | {"tuned": f"tuned{nasty}", "judge": f"judge{nasty}"}
    data = synthetic.data()
    data["train"]["set_aside"][0] |= {"reason": f"reason{nasty}", "examples": [f"place{nasty}"]}
    for path, value in (
        ("evaluation/comparison.json", content),
        ("data.json", data),
        ("lineage.json", {nasty: nasty}),
    ):
        (run / path).write_text(json.dumps(value), encoding="utf-8")
    html = build_report(run).read_text(encoding="utf-8")
    for name in ("tuned", "judge", "reason", "place"):
        assert f"{name}␛[2J␀\ufffd\ufffd" in html, name
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", html)


def test_a_long_answer_is_cut_and_says_so(run: Path) -> None:
    content = synthetic.comparison()
    content["samples"][0]["tuned"][0]["text"] = "x" * 7000
    synthetic.write_json(run / "evaluation" / "comparison.json", content)
    page = read(run)
    assert "… (1,000 more characters in comparison.json)" in page.text
    assert "x" * 6001 not in page.text


def test_many_prompts_fold_and_then_end_with_a_count(run: Path) -> None:
    content = synthetic.comparison()
    content["samples"] = content["samples"] * 14
    synthetic.write_json(run / "evaluation" / "comparison.json", content)
    page = read(run)
    assert len(page.all("article")) == 200
    assert "188 more prompts" in page.text
    assert "24 further prompts are in evaluation/comparison.json: this page shows 200 of 224." in page.text


def test_a_long_run_stays_small_and_says_what_its_tables_leave_out(tmp_path: Path) -> None:
    run = synthetic.write_run(tmp_path / "long", num_steps=5000)
    path = build_report(run)
    assert path.stat().st_size < 1_500_000
    assert re.search(
        r"\d+ of 5,?001 steps; all of them are in metrics\.jsonl\.", Page(path.read_text("utf-8")).text
    )
