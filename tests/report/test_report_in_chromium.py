"""The report in a real browser with the network off: nothing is asked for, nothing runs, all is shown."""

from __future__ import annotations

import importlib.util
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import synthetic_comparison as full
import synthetic_run as synthetic

from palate.report import build_report

HERE = Path(__file__).parent
PAYLOADS: list[str] = runpy.run_path(str(HERE.parent / "annotate" / "browser" / "payloads.py"))["PAYLOADS"]
VISITS = (
    ("whole", "light"),
    ("whole", "dark"),
    ("whole", "phone"),
    ("whole", "without policy"),
    ("chinese", "light"),
    ("hostile", "light"),
    ("hostile", "phone"),
    ("hostile", "without policy"),
    ("hostile chinese", "without policy"),
    ("bare", "light"),
)
Seen = dict[str, dict[str, Any]]


def hostile(value: Any) -> Any:
    """`value` with payloads in every text and every key that a file may name as it likes."""
    if isinstance(value, dict):
        return {key: hostile(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return f"{value} {' '.join(PAYLOADS)}" if isinstance(value, str) else value


def hostile_comparison() -> dict[str, Any]:
    """Models, judges, canaries, words and tasks with hostile names; a model has the same one everywhere."""
    names = [f"model {place} {PAYLOADS[place]}" for place in (0, 5, 9)]
    content = full.full_comparison(3)
    renamed = dict(zip(content["models"], names, strict=True))

    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            return {renamed.get(key, key): rename(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [rename(inner) for inner in value]
        return renamed.get(value, hostile(value)) if isinstance(value, str) else value

    content = rename(content)
    for sample in content["samples"]:
        sample["verdict"] = "win"
        sample["verdicts_of"] = {name: ["loss"] for name in names[1:]}
    for name in names:
        content["fears"][name][f"new {PAYLOADS[3]}"] = 0.5
        content["style"]["models"][name]["distances"][PAYLOADS[7]] = {"value": 1.0, "noise_floor": 0.5}
    content["judge_card"]["canaries"] = {
        PAYLOADS[1]: content["judge_card"]["canaries"]["gibberish"] | {"passed": False}
    }
    content["judge_card"]["judges"] = [{"judge": PAYLOADS[2], "trusted": False, "sentences": PAYLOADS}]
    return content


def write_hostile_run(folder: Path) -> Path:
    full.write_full_run(folder, num_steps=5)
    (folder / "evaluation" / "comparison.json").write_text(json.dumps(hostile_comparison()), "utf-8")
    findings = hostile(full.findings())
    for found in findings["findings"]:
        found["evidence"] = {PAYLOADS[4]: PAYLOADS[6]}
        found["recipe_value"] = PAYLOADS
    findings["rules_not_applicable"] = {PAYLOADS[8]: PAYLOADS[10]}
    synthetic.write_json(folder / "findings.json", findings)
    for name in ("data.json", "audit.json", "environment.json", "lineage.json", "summary.json"):
        content = json.loads((folder / name).read_text("utf-8"))
        synthetic.write_json(folder / name, hostile(content) | {PAYLOADS[0]: PAYLOADS})
    recipe = {"output": PAYLOADS, "objective": {"type": PAYLOADS[11]}, PAYLOADS[12]: PAYLOADS[13]}
    (folder / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """Each report as each visitor saw it."""
    program = shutil.which("chromium")
    if program is None or importlib.util.find_spec("playwright") is None:
        pytest.skip("there is no chromium on PATH, or playwright is not installed")
    home = tmp_path_factory.mktemp("reports")
    reports = {
        "whole": build_report(full.write_full_run(home / "whole", num_steps=20)),
        "chinese": build_report(full.write_full_run(home / "chinese", num_steps=20), language="zh"),
        "hostile": build_report(write_hostile_run(home / "hostile <img src=x onerror=alert(1)>")),
        "hostile chinese": build_report(write_hostile_run(home / "hostile zh"), language="zh"),
        "bare": build_report(bare_run(home / "bare")),
    }
    done = subprocess.run(
        [
            sys.executable,
            str(HERE / "report_visitor.py"),
            program,
            *(f"{way}:{reports[report]}" for report, way in VISITS),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return {name: told[str(path)] for name, path in reports.items()}


def bare_run(folder: Path) -> Path:
    folder.mkdir()
    (folder / "recipe.yaml").write_text("seed: 7\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(("report", "way"), VISITS)
def test_nothing_is_asked_for_and_nothing_complains(seen: dict[str, Seen], report: str, way: str) -> None:
    assert seen[report][way]["problems"] == []


@pytest.mark.parametrize(
    ("report", "way"),
    [("hostile", "light"), ("hostile", "without policy"), ("hostile chinese", "without policy")],
)
def test_no_text_becomes_an_element_that_could_act(seen: dict[str, Seen], report: str, way: str) -> None:
    """The policy aside: escaping alone has to hold."""
    page, harmless = seen[report][way], seen["whole"][way]
    assert set(page["tags"]) <= set(harmless["tags"])
    assert not {"script", "img", "iframe", "form", "input", "object", "embed", "link", "base"} & set(
        page["tags"]
    )
    assert page["handlers"] == []
    assert all(link.startswith("#") for link in page["links"])
    assert page["hacked"] == "undefined"


def test_hostile_text_is_shown_as_text(seen: dict[str, Seen]) -> None:
    """In names, prompts, answers, findings, judges, canaries, recipe, lineage, audit and words."""
    for report, way in (("hostile", "light"), ("hostile chinese", "without policy")):
        text = seen[report][way]["text"]
        for payload in PAYLOADS[:20]:
            assert text.count(payload) > 20, (report, payload)


@pytest.mark.parametrize(("report", "way"), VISITS)
def test_the_page_is_as_wide_as_its_window(seen: dict[str, Seen], report: str, way: str) -> None:
    assert seen[report][way]["width"] == (390 if way == "phone" else 1280)


def test_it_follows_the_reader_into_the_dark_and_prints_on_white(seen: dict[str, Seen]) -> None:
    light, dark = seen["whole"]["light"], seen["whole"]["dark"]
    assert light["paper"] == "rgb(255, 255, 255)" and dark["paper"] == "rgb(20, 23, 26)"
    assert dark["printed"]["paper"] == "rgb(255, 255, 255)"


def test_paper_shows_the_numbers_behind_the_plots(seen: dict[str, Seen]) -> None:
    page = seen["bare"]["light"]["printed"]
    assert page["tables"] == 0
    page = seen["whole"]["phone"]["printed"]
    assert page["tablesShown"] == page["tables"] > 4


def test_links_of_the_page_lead_to_its_sections(seen: dict[str, Seen]) -> None:
    for report in ("whole", "chinese", "hostile", "bare"):
        page = seen[report]["light"]
        assert len(set(page["ids"])) == len(page["ids"])
        assert {link[1:] for link in page["links"]} <= set(page["ids"]), report


def test_it_says_its_language(seen: dict[str, Seen]) -> None:
    assert seen["whole"]["light"]["language"] == "en"
    assert seen["chinese"]["light"]["language"] == "zh-CN"
    assert "胜率" in seen["chinese"]["light"]["text"]
